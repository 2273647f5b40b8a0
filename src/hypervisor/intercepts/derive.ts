import type { InterceptSet, SvmInstruction } from '../../processor/intercepts.ts';
import type { Processor } from '../../processor/processor.ts';
import { conform } from './conform.ts';
import type { InterceptSettings } from './settings.ts';
import { spinWatch } from './spin-watch.ts';
import type { SettingName } from './table.ts';

/**
 * Who drives a vCPU's inputs for interrupts, NMI, INIT and SIPI: the machine that the hypervisor itself runs on, so that the pin-based
 * controls and their like see them, or the hypervisor's own controllers, whose signals are for the guest and make no exits.
 */
export type Inputs = 'physical' | 'virtual';

const SVM_INSTRUCTIONS: readonly (SettingName & SvmInstruction)[] = [
  'vmrun',
  'vmload',
  'vmsave',
  'stgi',
  'clgi',
  'skinit',
  'invlpga',
  'iret',
  'int-n',
  'icebp',
];

/** In the order of their bits in `InterceptSet.descriptorTable`. */
const STORES = ['sidt', 'sgdt', 'sldt', 'str'] as const;
const LOADS = ['lidt', 'lgdt', 'lldt', 'ltr'] as const;

/** Makes a vCPU leave its guest for what the settings say, and sets what they begin with. */
export function applyIntercepts(
  processor: Processor,
  settings: InterceptSettings,
  vendor: 'intel' | 'amd',
  inputs: Inputs,
): void {
  Object.assign(processor.intercepts, deriveIntercepts(settings, vendor, inputs));
  processor.preemptionTimer = settings.preemptionTimer;
  if (vendor !== 'amd') return;
  processor.virtualInterrupt = settings.virtualInterrupt;
  processor.virtualNmi = settings.virtualNmi;
}

/** What CR8 is on a machine whose own interrupt controller the guest might reach. */
function taskPriority(vendor: 'intel' | 'amd', is: (name: SettingName) => boolean): InterceptSet['tpr'] {
  if (vendor === 'intel') return is('tpr-shadow') ? 'own' : 'controller';
  return is('interrupt-masking') ? 'own' : 'both';
}

/** What the emulated processor takes for exits when a vendor's processor is asked for these settings. */
function deriveIntercepts(settings: InterceptSettings, vendor: 'intel' | 'amd', inputs: Inputs): InterceptSet {
  const conformed = conform(settings, vendor);
  const { cr, cr0, cr4, dr, io, msrs, pauseLoop } = conformed;
  const is = (name: SettingName) => conformed.on.has(name);
  const isPhysical = (name: SettingName) => inputs === 'physical' && is(name);
  const bits = (names: readonly SettingName[]) => names.reduce((sum, name, bit) => (is(name) ? sum | (1 << bit) : sum), 0);
  return {
    cpuid: is('cpuid'),
    hlt: is('hlt'),
    idleHlt: is('idle-hlt'),
    pause: is('pause'),
    spin: pauseLoop && spinWatch(pauseLoop, vendor),
    hypercall: is('hypercall'),
    rdtsc: is('rdtsc'),
    rdtscp: is('rdtscp'),
    rdpmc: is('rdpmc'),
    rdrand: is('rdrand'),
    rdseed: is('rdseed'),
    invlpg: is('invlpg'),
    invpcid: is('invpcid'),
    invd: is('invd'),
    wbinvd: is('wbinvd'),
    monitor: is('monitor'),
    mwait: is('mwait'),
    xsetbv: is('xsetbv'),
    vmx: is('vmx-instructions'),
    svm: new Set(SVM_INSTRUCTIONS.filter(is)),
    descriptorTable: { read: bits(STORES), write: bits(LOADS) },
    dr: { read: dr.reads, write: dr.writes },
    taskSwitch: is('task-switch'),
    tripleFault: is('triple-fault'),
    externalInterrupt: isPhysical('external-interrupt'),
    ignoresIf: isPhysical('interrupt-masking'),
    acknowledges: is('acknowledge-interrupt'),
    nmi: isPhysical('nmi'),
    virtualNmis: is('virtual-nmis'),
    keepsNmisBlocked: vendor === 'intel' && isPhysical('nmi') && !is('virtual-nmis'),
    init: isPhysical('init'),
    smi: isPhysical('smi'),
    // A vCPU that waits for a SIPI has no other way to leave (Intel SDM vol. 3, 26.2).
    sipi: vendor === 'intel' && inputs === 'physical',
    interruptWindow: is('interrupt-window'),
    nmiWindow: is('nmi-window'),
    monitorTrap: is('monitor-trap'),
    tprThreshold: is('tpr-shadow') && !is('virtual-interrupts') ? conformed.tprThreshold : 0,
    tpr: inputs === 'virtual' ? 'controller' : taskPriority(vendor, is),
    preemptionTimer: is('preemption-timer'),
    savesPreemptionTimer: is('exit-save-timer'),
    cr: { read: cr.reads, write: cr.writes },
    crTraps: conformed.crTraps,
    eferTrap: is('efer-write-trap'),
    cr0,
    cr4,
    cr0Selective: is('cr0-selective-write'),
    cr3Targets: conformed.cr3Targets,
    exceptions: conformed.exceptions,
    pageFaults: conformed.pageFaults,
    msr: typeof msrs === 'object' ? (msr, write) => msrs.intercepts(msr, write) : () => msrs === 'all',
    io: typeof io === 'object' ? (port, size) => io.intercepts(port, size) : () => io === 'all',
  };
}
