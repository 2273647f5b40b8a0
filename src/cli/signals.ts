/** By Ctrl+C, and by the terminal that is closed. SIGTERM has a meaning of its own (shutdown-requests.ts). */
const SIGNALS = ['SIGINT', 'SIGHUP'] as const;

/** Has a signal that would end the process be heard instead, once: a second one ends it. */
export function onSignals(heard: (name: string) => void): { readonly forget: () => void } {
  const listener = (name: NodeJS.Signals) => {
    forget();
    heard(name);
  };
  const forget = () => {
    for (const name of SIGNALS) process.off(name, listener);
  };
  for (const name of SIGNALS) process.on(name, listener);
  return { forget };
}
