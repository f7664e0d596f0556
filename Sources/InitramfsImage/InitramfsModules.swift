// The kernel modules and the firmware of an initramfs.

import KernelModules
import LinuxSystem
import SystemPackage

extension Initramfs {
    /// What it takes to mount a squashfs that is a file.
    private static let earlyModules = ["loop", "squashfs"]

    /// Whether the kernel can mount one.
    static func mountsSquashfs(_ index: KernelModuleIndex) -> Bool {
        earlyModules.allSatisfy { index.isBuiltin($0) || index.path(of: $0) != nil }
    }

    /// Adds the modules that the agent loads before `/usr` is there, and their list.
    func addEarlyModules(of kernel: String, index: KernelModuleIndex, to root: inout FileTree) throws {
        var list = ""
        for path in index.closure(of: Self.earlyModules) {
            let name = InitramfsPath.earlyModule(path)
            root.addBytes(name, try module(path, of: kernel))
            list += "/\(name)\n"
        }
        root.addText("early/modules.list", list)
    }

    /// The modules that get an image of their own; a few are not worth one.
    func cardDrivers(among paths: [String], of kernel: String, _ index: KernelModuleIndex) -> Set<String> {
        let cards = CardDrivers(among: paths, in: index).paths
        let folder = host.folder(of: kernel)
        let size = cards.reduce(UInt64(0)) { $0 + (Files.size(folder.appending($1)) ?? 0) }
        return size < leastDrivers ? [] : cards
    }

    /// Adds the chosen modules, those of cards to their own tree with a link in their place, and the index of them all.
    func addModules(
        _ paths: [String], of kernel: String, index: KernelModuleIndex, beside root: FileTree, to usr: inout FileTree,
        cards: Set<String>, to drivers: inout FileTree
    ) throws {
        let folder = "lib/modules/\(kernel)"
        let source = host.folder(of: kernel)
        for path in paths {
            let place = "\(folder)/\(ModuleFile.plainPath(path))"
            if root[InitramfsPath.earlyModule(path)] != nil {
                usr.addLink(place, to: "/\(InitramfsPath.earlyModule(path))")
            } else if cards.contains(path) {
                let plain = ModuleFile.plainPath(path)
                usr.addLink(place, to: "/usr/\(InitramfsPath.driverFolder)/\(plain)")
                if ModuleFile.isCompressed(path) {
                    drivers.addBytes(plain, try module(path, of: kernel))
                } else {
                    drivers.addCopy(plain, of: source.appending(path))
                }
            } else if ModuleFile.isCompressed(path) {
                usr.addBytes(place, try module(path, of: kernel))
            } else {
                usr.addCopy(place, of: source.appending(path))
            }
        }
        let subset = index.subset(of: paths)
        usr.addBytes("\(folder)/modules.dep", ModuleFile.plainPaths(inIndex: subset.dependencies))
        usr.addBytes("\(folder)/modules.alias", subset.aliases)
        usr.addBytes("\(folder)/modules.softdep", subset.softDependencies)
        usr.addCopy("\(folder)/modules.builtin", of: source.appending("modules.builtin"))
        if !cards.isEmpty { usr.addFolder(InitramfsPath.driverFolder) }
    }

    /// Adds the firmware that the modules' devices need.
    func addFirmware(for paths: [String], of kernel: String, to usr: inout FileTree) throws -> Firmware {
        var firmware = Firmware()
        let folders = host.firmware.flatMap { [$0.appending(kernel), $0] }
        for path in paths {
            let module = try module(path, of: kernel)
            let names: [String]
            do throws(ELFFile.Failure) {
                names = try Firmware.names(askedForBy: module)
            } catch {
                // The kernel will refuse a file that is not a module.
                continue
            }
            for name in names { firmware.add(name, for: KernelModuleIndex.name(ofPath: path), in: folders) }
        }
        for (name, file) in firmware.files {
            let place = "lib/firmware/\(name)"
            if file.string.hasSuffix(name) {
                usr.addCopy(place, of: Files.resolved(file) ?? file)
            } else {
                usr.addBytes(place, try ModuleFile.read(file))
            }
        }
        return firmware
    }

    /// A module's image, decompressed.
    private func module(_ path: String, of kernel: String) throws -> [UInt8] {
        try ModuleFile.read(host.folder(of: kernel).appending(path))
    }

    /// The paths, in the squashfs and in that of the drivers, of what most boots load, in the order in which they do.
    func common(in index: KernelModuleIndex, below kernel: String) -> [String] {
        let folder = "lib/modules/\(kernel)"
        let modules = index.closure(of: ModuleSets.common).map(ModuleFile.plainPath)
        return ["dep", "alias", "softdep", "builtin"].map { "\(folder)/modules.\($0)" }
            + modules.map { "\(folder)/\($0)" } + modules
    }
}
