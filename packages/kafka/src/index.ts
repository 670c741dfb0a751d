export {
  CLIENT_RETRY,
  type KafkaClientOptions,
  type KafkaConnection,
  type KafkaSasl,
  type KafkaTls,
  kafkaClient,
  kafkaError,
} from './client.ts'
export { type Cluster, createCluster, type KafkaRecord } from './cluster.ts'
export { type Coordinated, coordinatorCause } from './coordinator.ts'
export { type KafkaSettings, kafkaConnection, kafkaSettings } from './settings.ts'
export { ensureTopic, type TopicOptions, topicSettings, wrongPartitions } from './topic.ts'
export { type PartitionFacts, readTopic, type Topic, type TopicFacts, type TopicSettings } from './topic-facts.ts'
export { endsOf, isOutOfRange, type LogEnd, offsetsAt, readRange, streamRange } from './topic-reader.ts'
