/**
 * The driver did with a queue what it must not do. The message is a part of a sentence: what is wrong, where. A device answers with
 * DEVICE_NEEDS_RESET (virtio 1.2, 2.1.2) and touches the queue no more.
 */
export class QueueError extends Error {}
