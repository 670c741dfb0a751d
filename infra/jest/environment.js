import { TestEnvironment } from 'jest-environment-node'

/** When a test fails and its clean-up fails after it, jest would tell that something was suppressed, and not what. */
export default class Environment extends TestEnvironment {
  handleTestEvent({ name, test }) {
    if (name === 'test_done') test.errors = test.errors.map(tellingAll)
  }
}

/** jest keeps an error either alone or beside the place where the test was declared. */
function tellingAll(kept) {
  if (!Array.isArray(kept)) return withoutSuppression(kept)
  const [error, declared] = kept
  return [withoutSuppression(error), declared]
}

function withoutSuppression(error) {
  const errors = errorsIn(error)
  return errors.length === 1 ? error : new AggregateError(errors, 'the test failed, and so did its clean-up')
}

/** In the order in which they happened. Each test has a SuppressedError of its own: of its realm. */
function errorsIn(error) {
  return error?.name === 'SuppressedError' ? [...errorsIn(error.suppressed), ...errorsIn(error.error)] : [error]
}
