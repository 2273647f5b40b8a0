/** Names that package.json contributes; test/extension holds the two together. */

export const DEBUG_TYPE = 'hyperscope';
export const LANGUAGE = 'hyperscope-asm';
/** Files that F5 takes for guest assembly even when another extension has claimed their language. `.S` is the C compiler's. */
export const ASSEMBLY_FILE = /\.(asm|ASM|nasm|s)$/;
export const ASSEMBLY_GLOB = '**/*.{asm,nasm,s}';

export const Command = {
  DEBUG_FILE: 'hyperscope.debugFile',
  RUN_FILE: 'hyperscope.runFile',
  STEP_INSTRUCTION: 'hyperscope.stepInstruction',
  STEP_OVER_INSTRUCTION: 'hyperscope.stepOverInstruction',
  CONTINUE_ALONE: 'hyperscope.continueAlone',
  STEP_ALONE: 'hyperscope.stepAlone',
  CHOOSE_MOVES: 'hyperscope.chooseMoves',
  OPEN_SAMPLE: 'hyperscope.openSample',
  SHOW_MEMORY: 'hyperscope.showMemory',
  SAVE_CRASH_REPORT: 'hyperscope.saveCrashReport',
  LOOK_UP_ADDRESS: 'hyperscope.lookUpAddress',
  FORGET_ADDRESS: 'hyperscope.forgetAddress',
  SHOW_ADDRESS_MAP: 'hyperscope.showAddressMap',
  COPY_PAGE_TABLE_VALUE: 'hyperscope.copyPageTableValue',
  COPY_PARTITION_VALUE: 'hyperscope.partitions.copyValue',
  GROUP_EXITS: 'hyperscope.exits.groupBy',
  SORT_EXITS: 'hyperscope.exits.sortBy',
  FILTER_EXITS: 'hyperscope.exits.filter',
  SHOW_ALL_EXITS: 'hyperscope.exits.showAll',
  SHOW_ONLY_THESE_EXITS: 'hyperscope.exits.showOnlyThese',
  GO_TO_INSTRUCTION: 'hyperscope.exits.goToInstruction',
  GO_TO_HANDLER: 'hyperscope.exits.goToHandler',
  BREAK_ON_EXITS_LIKE_THIS: 'hyperscope.exits.breakOnLikeThis',
  SHOW_EXIT_PROFILE: 'hyperscope.showExitProfile',
  ADD_JOURNAL: 'hyperscope.addJournal',
  SHOW_VIRTQUEUE: 'hyperscope.showVirtqueue',
  SHOW_CHANNEL: 'hyperscope.showVmbusChannel',
  SHOW_SCREEN: 'hyperscope.showScreen',
  COPY_EXIT: 'hyperscope.exits.copy',
} as const;

export const View = {
  PARTITIONS: 'hyperscope.partitions',
  PAGE_TABLES: 'hyperscope.pageTables',
  EXITS: 'hyperscope.exits',
  VIRTQUEUES: 'hyperscope.virtqueues',
  VMBUS: 'hyperscope.vmbusChannels',
  SCREEN: 'hyperscope.screen',
} as const;

/** Context keys for the conditions in package.json. */
export const Context = {
  /** A guest of the session has virtio devices. */
  HAS_VIRTQUEUES: 'hyperscope.hasVirtqueues',
  /** A guest of the session has channels on a VMBus. */
  HAS_VMBUS: 'hyperscope.hasVmbusChannels',
  /** A guest of the session has a screen. */
  HAS_SCREEN: 'hyperscope.hasScreen',
  EXITS_FILTERED: 'hyperscope.exitsFiltered',
  /** The keyboard is in the table of VM exits: the editor's own `focusedView` doesn't know what is focused inside a page. */
  EXITS_TABLE_FOCUSED: 'hyperscope.exitsTableFocused',
} as const;
