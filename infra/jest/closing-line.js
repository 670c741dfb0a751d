/**
 * Says at the very end how the run went, for people and for machines: `Tests: N passed, N failed`. Whatever did not pass
 * counts as failed: a skipped test, and a file that could not be run at all.
 */
export default class ClosingLine {
  onRunComplete(_contexts, results) {
    // At exit: the global teardown comes after this, and it may have something to say.
    process.once('exit', () => process.stdout.write(`${closingLine(results)}\n`))
  }
}

export function closingLine({ numPassedTests, numTotalTests, numRuntimeErrorTestSuites }) {
  const failed = numTotalTests - numPassedTests + numRuntimeErrorTestSuites
  return `Tests: ${numPassedTests} passed, ${failed} failed`
}
