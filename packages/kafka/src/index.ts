export { CLIENT_RETRY, type KafkaClientOptions, type KafkaConnection, kafkaClient, kafkaError } from './client.ts'
export { ensureTopic, type TopicOptions, topicSettings, wrongPartitions } from './topic.ts'
export { type PartitionFacts, readTopic, type Topic, type TopicFacts } from './topic-facts.ts'
