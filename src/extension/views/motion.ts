/** Requests that set a guest moving. */
const MOTIONS: ReadonlySet<unknown> = new Set(['configurationDone', 'continue', 'next', 'stepIn', 'stepOut', 'restart'] as const);

/** What a message says of the guests: some move, all stand still, or something was set and they do what they did. */
export type Motion = 'moving' | 'still' | 'changed';

/** What a message of the debug adapter says of the guests' motion; undefined for nothing. A launch stops at the entry in the next one. */
export function motionAfter(message: unknown): Motion | undefined {
  if (typeof message !== 'object' || message === null || !('type' in message)) return undefined;
  if (message.type === 'response')
    return 'command' in message && MOTIONS.has(message.command) && 'success' in message && message.success === true
      ? 'moving'
      : undefined;
  if (message.type !== 'event' || !('event' in message)) return undefined;
  switch (message.event) {
    case 'continued':
      return 'moving';
    case 'stopped':
      return allStopped('body' in message ? message.body : undefined) ? 'still' : 'moving';
    case 'terminated':
      return 'still';
    case 'invalidated':
      return 'changed';
    default:
      return undefined;
  }
}

function allStopped(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'allThreadsStopped' in body && body.allThreadsStopped === true;
}
