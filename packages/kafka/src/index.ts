export { CLIENT_RETRY, type KafkaClientOptions, type KafkaConnection, kafkaClient, kafkaError } from './client.ts'
export { ensureTopic, type TopicOptions, wrongPartitions } from './topic.ts'
