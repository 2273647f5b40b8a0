/**
 * Milliseconds of processor time that this process has taken. Bounds on what hangs are told in these: on a busy machine a clock says
 * how many others there are.
 */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
