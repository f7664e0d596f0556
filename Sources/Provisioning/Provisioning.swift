// Provisioning: from what a config wants and what is there to what is to be done: StoragePlan for the
// disks, FilesPlan for the target root. Plain values, so that a plan can be printed and compared. No I/O.
