/**
 * An interrupt that a hypervisor has waiting in the guest: SVM's V_IRQ with V_INTR_VECTOR, V_INTR_PRIO and V_IGN_TPR (AMD APM vol. 2,
 * 15.21.4). The guest takes it as it would take one of an interrupt controller.
 */
export interface VirtualInterrupt {
  readonly vector: number;
  /** 0 to 15. */
  readonly priority: number;
  /** It is taken whatever V_TPR is. */
  readonly ignoresTpr: boolean;
}

/** What is asked for where a window is all that is wanted: the highest priority. */
export const WINDOW_INTERRUPT: VirtualInterrupt = { vector: 0, priority: 15, ignoresTpr: false };

/** Whether a task priority (V_TPR, 0 to 15) lets it through. */
export function passesTpr({ priority, ignoresTpr }: VirtualInterrupt, tpr: number): boolean {
  return ignoresTpr || priority > tpr;
}
