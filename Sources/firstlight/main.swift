// firstlight: the agent. One binary with several names: below PID 1 it boots the machine, systemd runs it as a
// generator, udhcpc as a hook, the kernel as modprobe, and people use the command line of Firstlight.swift.

import Boot
import CLinux
import Devices
import Glibc
import IgnitionCompat
import Logging
import Networking
import Reporting

let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? "firstlight"

switch name {
// PID 1 itself never comes here: it is in supervisor.c.
case "init" where firstlight_is_supervised(): LiveBoot.main()
case "udhcpc-hook": exit(LeaseHook.main())
case "modprobe": exit(ModuleRequest.main(Array(CommandLine.arguments.dropFirst()), logger: .boot()))
case "ignition": exit(IgnitionProgram.main(Array(CommandLine.arguments.dropFirst())))
case "ignition-apply": exit(IgnitionApply.main(Array(CommandLine.arguments.dropFirst())))
case "ignition-rmcfg": exit(IgnitionRemoval.main(Array(CommandLine.arguments.dropFirst())))
case "ignition-validate": exit(IgnitionValidate.main(Array(CommandLine.arguments.dropFirst())))
case "firstlight-generator": exit(SystemdGenerator.main(Array(CommandLine.arguments.dropFirst())))
default:
    firstlight_check_output_at_exit()
    Firstlight.main(separatingEmptyValues(Array(CommandLine.arguments.dropFirst())))
}
