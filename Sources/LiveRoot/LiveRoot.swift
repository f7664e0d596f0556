// LiveRoot: the root filesystem of a live system: its image is got (RootImage*), a writable layer is
// laid over it (Overlay), and the machine moves there (SwitchRoot).
