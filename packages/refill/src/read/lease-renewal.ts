/** So that a holder who is late once or twice still has it. */
const RENEWALS_PER_LEASE = 3

/**
 * A lease is short, so that a dead holder's ends soon: who lives prolongs it while it loads.
 *
 * @param renew asks for the same leases again, by the same ids, and never rejects
 */
export async function whileRenewed<T>(leaseMs: number, renew: () => unknown, load: () => Promise<T>): Promise<T> {
  const renewal = setInterval(renew, leaseMs / RENEWALS_PER_LEASE)
  try {
    return await load()
  } finally {
    clearInterval(renewal)
  }
}
