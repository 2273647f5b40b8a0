import type { Device } from './device.ts';

/**
 * What a network card is plugged into, whatever kind of card it is and whatever is behind: a user network, a switch, both. A frame is an
 * Ethernet frame without its check sequence; once it is handed over, nobody changes it.
 */
export interface NetworkPort {
  /** Called once, before anything else. */
  connect(card: NetworkCard): void;
  /** The guest sends a frame, of any length. */
  transmit(frame: Uint8Array): void;
}

/** A network card as what it is plugged into sees it. */
export interface NetworkCard {
  /** A frame comes for the guest. It is dropped where the card has no room for it. */
  receive(frame: Uint8Array): void;
  /** The cable is plugged in or pulled out. */
  setLink(isUp: boolean): void;
  /** Whether a driver is there to take what comes from the network. */
  readonly listensForInput: boolean;
}

/** What a machine's network card is plugged into, as a part of the machine. */
export interface NetworkDevice extends Device, NetworkPort {
  /** Frames may come that the guest didn't ask for: others are plugged in there too, or something outside leads there. */
  readonly isOpen: boolean;
  /** Something may come, and the card has a driver that takes it. */
  readonly listensForInput: boolean;
  /** Something happened outside, as bytes that came through the partition's input door. */
  happened(event: Uint8Array): void;
  /** The guest has ended. What it shares with others goes on with one of them. */
  guestEnded(): void;
  /** Ends all that it has to do with the world outside, but for what goes on with others. */
  disconnect(): void;
}
