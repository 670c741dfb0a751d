import { stripTypeScriptTypes } from 'node:module'

/**
 * Tests run what Node runs: the same source with its types blanked out, every character in its place. A compiler in
 * between put its own code for `await using` there, which could not tell of an error in a body and one in a disposal.
 */
export default {
  process: (source) => ({ code: stripTypeScriptTypes(source) }),
}
