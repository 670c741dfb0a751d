/** How the publisher calls itself to Postgres and to Kafka. */
export const CLIENT = 'tidemark-publisher'
