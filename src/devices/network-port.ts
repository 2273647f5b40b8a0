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
}
