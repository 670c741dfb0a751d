import { hotSource } from './hot-source.ts'

/** The source of a PipelineContext, for services that run as processes of their own; the test names it. */
export default hotSource(process.env.TIDEMARK_TEST_NAME ?? 'hot')
