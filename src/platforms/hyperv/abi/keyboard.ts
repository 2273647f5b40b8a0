/** The keyboard protocol of the VMBus (Linux's drivers/input/serio/hyperv-keyboard.c): messages in a channel's ring, without a pipe's header. */

export const KEYBOARD_INTERFACE = 'f912ad6d-2b17-48ea-bd65-f927a61c7684';
/** The one keyboard of a virtual machine. */
export const KEYBOARD_INSTANCE = 'd34b2567-b9b6-42b9-8778-0a4ec0b955bf';

/** What a message is. */
export const KeyboardMessage = { PROTOCOL_REQUEST: 1, PROTOCOL_RESPONSE: 2, EVENT: 3, LED_INDICATORS: 4 } as const;
/** Names of messages. */
export const KEYBOARD_MESSAGE_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(KeyboardMessage).map(([name, type]) => [type, name]),
);

/** Version 1.0: major << 16 | minor. */
export const KEYBOARD_VERSION = 0x1_0000;
/** Status of a response. */
export const PROTOCOL_ACCEPTED = 1;

/** Flags of an event. */
export const KeyFlag = { UNICODE: 1, BREAK: 2, E0: 4, E1: 8 } as const;

/** Indicators, lowest bit first. */
export const LEDS = ['scroll lock', 'num lock', 'caps lock'] as const;
