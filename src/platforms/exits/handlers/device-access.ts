import type { Machine } from '../../../hypervisor/partition/platform.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, stage } from '../../../stages/stage.ts';

/** Reads or writes a device's registers among guest physical memory. Returns what is read; 0 where it is written. */
export function* accessMmio({ buses }: Machine, exit: ExitOf<'mmio'>, cpu: number, device: string): Handler<bigint> {
  if (exit.write) {
    yield stage('mmio-device.write', { device, gpa: exit.gpa, value: exit.value });
    yield* buses.writeMmioInStages(cpu, exit.gpa, exit.size, exit.value);
    return 0n;
  }
  const answer = buses.readMmio(cpu, exit.gpa, exit.size);
  yield stage('mmio-device.read', { device, gpa: exit.gpa, value: answer });
  return answer;
}

/** Reads or writes a port of a device. Returns what is read; 0 where it is written. */
export function* accessPort({ buses }: Machine, exit: ExitOf<'io'>, device: string): Handler<number> {
  const { port, size, write, value } = exit;
  if (write) {
    yield stage('port-device.write', { device, port, value: value >>> 0, text: printable(value) });
    yield* buses.writePortInStages(port, size, value);
    return 0;
  }
  const answer = buses.readPort(port, size);
  yield stage('port-device.read', { device, port, value: answer });
  return answer;
}

/** The character that a byte is, for consoles. */
function printable(value: number): string {
  return value >= 0x20 && value < 0x7f ? `'${String.fromCharCode(value)}'` : '';
}
