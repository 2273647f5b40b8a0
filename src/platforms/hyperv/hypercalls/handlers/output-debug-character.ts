import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** The port of the debug console, which characters for a debugger go to. */
const DEBUG_CONSOLE = 0xe9;

/** HvCallOutputDebugCharacter. */
export function* outputDebugCharacter(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const character = call.number('character');
  yield stage('hyperv-call-debug.print', { character });
  if (!hyperv.machine.door.ask('debug-console', () => 'to print on the debug console'))
    return call.fail(HvStatus.ACCESS_DENIED, "the partition's grant has no debug console");
  yield* hyperv.machine.buses.writePortInStages(DEBUG_CONSOLE, 1, character & 0xff);
  return HvStatus.SUCCESS;
}
