/** Polls until `probe` gives something true: every wait of the UI suite is of this kind, never a fixed sleep. */
export async function expectSoon(probe, what, timeout = 20_000) {
  const end = Date.now() + timeout;
  for (;;) {
    let last;
    try {
      last = await probe();
      if (last) return last;
    } catch (problem) {
      last = problem.message;
    }
    if (Date.now() > end) {
      const text = typeof what === "function" ? await what() : what;
      throw new Error(`timed out: ${text} (last: ${JSON.stringify(last)})`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
