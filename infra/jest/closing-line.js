let lastRun

// At exit: the global teardown comes after the run, and it may have something to say. In watch mode there are many runs.
process.once('exit', () => {
  if (lastRun) process.stdout.write(`${closingLine(lastRun)}\n`)
})

/**
 * Says at the very end how the run went, for people and for machines: `Tests: N passed, N failed`. Whatever did not pass
 * counts as failed: a skipped test, and a file that could not be run at all.
 */
export default class ClosingLine {
  onRunComplete(_contexts, results) {
    lastRun = results
  }
}

function closingLine({ numPassedTests, numTotalTests, numRuntimeErrorTestSuites }) {
  const failed = numTotalTests - numPassedTests + numRuntimeErrorTestSuites
  return `Tests: ${numPassedTests} passed, ${failed} failed`
}
