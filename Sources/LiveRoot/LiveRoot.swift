// LiveRoot: the root filesystem of a live system: its image is fetched or found (RootImage*), a writable layer is
// mounted over it (Overlay), and the machine switches to it (SwitchRoot).
