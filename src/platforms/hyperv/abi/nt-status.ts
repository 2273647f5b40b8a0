/** Statuses of packets of services in the parent partition (NTSTATUS; [MS-ERREF] 2.3.1). */
export const NtStatus = {
  SUCCESS: 0,
  BUFFER_OVERFLOW: 0x8000_0005,
  INVALID_PARAMETER: 0xc000_000d,
  NO_SUCH_DEVICE: 0xc000_000e,
  INVALID_DEVICE_REQUEST: 0xc000_0010,
  REVISION_MISMATCH: 0xc000_0059,
  INSUFFICIENT_RESOURCES: 0xc000_009a,
  NOT_SUPPORTED: 0xc000_00bb,
  DEVICE_DOES_NOT_EXIST: 0xc000_00c0,
  INVALID_DEVICE_STATE: 0xc000_0184,
  IO_DEVICE_ERROR: 0xc000_0185,
} as const;

/** Names of statuses. */
export const NT_STATUS_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(NtStatus).map(([name, status]) => [status, name]),
);
