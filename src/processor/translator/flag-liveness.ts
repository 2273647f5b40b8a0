import type { Form } from '../../x86/notation.ts';
import type { Decoded } from '../decoder/decode.ts';
import { RegionBuilder, type RegionMode } from './region-builder.ts';
import type { RegionInstruction } from './region-graph.ts';

/** What an instruction has to do with the arithmetic flags. */
interface FlagEffects {
  /** It reads some, or may be abandoned, which shows all. */
  readonly shows: boolean;
  /** It sets all of them, whatever they were. */
  readonly overwrites: boolean;
}

const known = new WeakMap<Form, Map<string, FlagEffects>>();

/** Finds out by making the instruction's code. What it says is the same for all instructions of the form with the same key. */
function effectsOf(decoded: Decoded, mode: RegionMode): FlagEffects {
  const { form, instruction, request } = decoded;
  let ofForm = known.get(form);
  if (!ofForm) {
    ofForm = new Map();
    known.set(form, ofForm);
  }
  // Shifts by 0 leave the flags alone.
  const key = `${mode.mode} ${request.size} ${request.memory} ${Number(instruction.immediate & 63n)}`;
  const before = ofForm.get(key);
  if (before) return before;
  const builder = new RegionBuilder(mode, { goTo: () => {}, dispatch: () => {} }, 0, form.definition.registers !== undefined);
  builder.open(0x02);
  builder.enter();
  const { state } = builder.flags;
  builder.instruction({ rip: 0n, decoded, charged: 1 });
  const { flags } = builder;
  const isStatic = flags.state.recipe !== 'dynamic' && !flags.state.isOverridden;
  const effects = { shows: flags.wasRead || builder.mayLeave, overwrites: isStatic && flags.state !== state };
  ofForm.set(key, effects);
  return effects;
}

/** For each instruction of a block, whether nobody sees what it does to the flags: a later one sets all before that. */
export function mutedFlags(instructions: readonly RegionInstruction[], mode: RegionMode): boolean[] {
  const muted: boolean[] = new Array(instructions.length).fill(false);
  let isSeen = true;
  for (let index = instructions.length - 1; index >= 0; index--) {
    muted[index] = !isSeen;
    const decoded = instructions[index]?.decoded;
    if (!decoded) continue;
    const effects = effectsOf(decoded, mode);
    if (effects.overwrites) isSeen = false;
    if (effects.shows) isSeen = true;
  }
  return muted;
}
