// Everything in which the ways of provisioning differ. Whatever is not told here is the same for all of them.

import BootArguments
import IgnitionConfig

/// The rules of a session.
public struct SessionRules: Equatable, Sendable {
    /// What becomes of what an earlier run has left.
    var rerun = RerunPolicy.own
    /// Whether there is nothing to do without `ignition.firstboot`.
    var asksForFirstBoot = true
    /// Whether `/config.ign` of the initramfs counts, beside `user.ign` of the system's folders.
    var readsEmbeddedConfig = true
    /// Whether what cannot be done is refused as soon as the config is known, rather than by its stage.
    var refusesAtFetch = true
    /// Whether a config that refers to no other is kept as it was written.
    var keepsTextAsWritten = true
    /// Whether `firstlight.proxy` counts where the config names no proxy.
    var honoursProxyArgument = true
    /// Whether `${uuid}` and the like in the command line's URLs are the machine's own.
    var namesMachine = true
    /// Whether a server's date may set the machine's clock.
    var setsClock = true
    /// Whether the boot goes on where no helper can change the boot loader's entries.
    var leavesKernelArgumentsToOperator = true
    /// Whether somebody is to know that the machine was provisioned before.
    var warnsOfEarlierRun = false
    /// Whether the root goes with the boot, and what is left in it.
    var rootIsInRAM = true
    /// Whether nothing is to stay in ``StateFolder/folder``.
    var leavesNoFolder = false

    /// A boot of Firstlight's own.
    public static func live(_ arguments: BootArguments) -> SessionRules {
        var rules = SessionRules()
        rules.rerun = arguments.isStrict ? .strict : .own
        return rules
    }

    /// The name `ignition` and the like: a distribution's own units go on from what Ignition leaves.
    public static func dropIn(_ arguments: BootArguments) -> SessionRules {
        var rules = SessionRules()
        rules.rerun = arguments.isStrict ? .strict : .dropIn
        rules.asksForFirstBoot = false
        rules.readsEmbeddedConfig = false
        rules.refusesAtFetch = false
        rules.keepsTextAsWritten = false
        rules.honoursProxyArgument = false
        rules.namesMachine = false
        rules.setsClock = false
        rules.leavesKernelArgumentsToOperator = false
        rules.warnsOfEarlierRun = true
        rules.rootIsInRAM = false
        rules.leavesNoFolder = true
        return rules
    }
}
