// Kernel arguments: changed by the distribution's own program, or told to whoever serves the command line.

import IgnitionConfig
import LinuxSystem
import Reporting

extension ProvisioningSession {
    /// Sees to the kernel arguments that the config asks for.
    public func setKernelArguments() throws {
        guard let wanted = try config()?.kernelArguments else { return }
        let helper = KernelArgumentsHelper(wanted)
        guard helper.isNeeded else { return }
        if helper.isInstalled || !rules.leavesKernelArgumentsToOperator {
            let program = KernelArgumentsHelper.program
            observer(.told(topic: "kargs", "leaving the config's kernel arguments to \(program)"))
            observer(.detail("running \(program)"))
            observer(.wrote("the changes of \(program)"))
            return try helper.run()
        }
        for warning in KernelArgumentChanges(wanted, on: arguments.commandLine).warnings { warn(warning) }
    }
}

/// The program with which a distribution changes its boot loader's entries.
///
/// It is called at every boot. It does nothing where all is as wanted, and restarts the machine by itself where it
/// changed something.
struct KernelArgumentsHelper {
    static let program = "ignition-kargs-helper"

    /// All that are to be there, then all that are not, in the config's order.
    let words: [String]

    init(_ wanted: IgnitionConfig.KernelArguments) {
        words =
            wanted.shouldExist.flatMap { ["--should-exist", $0] }
            + wanted.shouldNotExist.flatMap { ["--should-not-exist", $0] }
    }

    var isNeeded: Bool { !words.isEmpty }
    var isInstalled: Bool { command.isInstalled }
    private var command: Command { Command(Self.program, words) }

    /// - Throws: Where it fails: the arguments are part of what the config asks for.
    func run() throws {
        try step("changing kernel arguments") { _ = try command.run() }
    }
}
