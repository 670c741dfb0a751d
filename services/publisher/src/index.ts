export { type PublisherLimits, type PublisherOptions, runPublisher } from './publisher.ts'
