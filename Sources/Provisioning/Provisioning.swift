// Provisioning compares what a config wants with what exists, and decides what is to be done: StoragePlan for the
// disks, FilesPlan for the target root. Plans are plain values, so that they can be printed and compared. No I/O.
