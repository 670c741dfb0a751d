import { crashSource } from './crash-source.ts'

/** The source of a crash scenario, for the publisher's process; the test names it. */
export default crashSource(process.env.TIDEMARK_TEST_NAME ?? 'crash')
