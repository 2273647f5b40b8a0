import * as vscode from 'vscode';

/** Leaves the alternate screen (the cursor stays: nobody may have saved one), resets modes and colours, and begins a line. */
const RESET = '\x1b[?1047l\x1b[!p\x1b[0m\r\n';
const dim = (text: string) => `\x1b[2m${text}\x1b[0m\r\n`;

/** Who takes what is typed. */
export interface TerminalGuest {
  type(text: string): void;
  resize(columns: number, rows: number): void;
}

/**
 * A guest's serial console as a terminal of the editor. Bytes pass as they are: the guest's own terminal driver makes lines, echo and
 * control keys of them.
 */
export class GuestTerminal implements vscode.Pseudoterminal {
  private readonly written = new vscode.EventEmitter<string>();
  private readonly gone = new vscode.EventEmitter<void>();
  readonly onDidWrite = this.written.event;
  /** The user has closed it. */
  readonly onDidGo = this.gone.event;
  private readonly terminal: vscode.Terminal;
  /** What was printed before the terminal was there to show it. */
  private early: string | undefined = '';
  private guest: TerminalGuest | undefined;
  private size: vscode.TerminalDimensions | undefined;
  private used = false;
  private shown = false;

  constructor(name: string) {
    this.terminal = vscode.window.createTerminal({ name, pty: this, iconPath: new vscode.ThemeIcon('vm') });
  }

  /** Nobody is behind it. */
  get isFree(): boolean {
    return this.guest === undefined;
  }

  /** A guest begins; what another one has printed before stays above. */
  begin(guest: TerminalGuest): void {
    if (this.used) this.write(`${RESET}${dim('The guest starts anew.')}`);
    this.used = true;
    this.shown = false;
    this.guest = guest;
    this.tellSize();
  }

  print(text: string): void {
    this.write(text);
    // The Debug Console comes to the front when a session begins, and the first output after it. The focus stays where it is.
    if (!this.shown) this.terminal.show(true);
    this.shown = true;
  }

  end(): void {
    if (!this.guest) return;
    this.guest = undefined;
    this.write(`${RESET}${dim('The guest has ended.')}`);
  }

  private write(text: string): void {
    if (this.early === undefined) this.written.fire(text);
    else this.early += text;
  }

  private tellSize(): void {
    if (this.size) this.guest?.resize(this.size.columns, this.size.rows);
  }

  // --- what the editor calls ---------------------------------------------------------------------------------------------

  open(dimensions: vscode.TerminalDimensions | undefined): void {
    const { early } = this;
    this.early = undefined;
    if (early) this.written.fire(early);
    if (dimensions) this.setDimensions(dimensions);
  }

  setDimensions(dimensions: vscode.TerminalDimensions): void {
    this.size = dimensions;
    this.tellSize();
  }

  handleInput(data: string): void {
    this.guest?.type(data);
  }

  close(): void {
    this.gone.fire();
  }

  dispose(): void {
    this.terminal.dispose();
    this.written.dispose();
    this.gone.dispose();
  }
}
