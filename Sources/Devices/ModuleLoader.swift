// Loading kernel modules: in order, with parameters, decompressed where the kernel cannot.

import BootArguments
import Glibc
import KernelModules
import LinuxSystem
import Logging
import Synchronization
import SystemPackage

/// Loads the modules of the running kernel from `/lib/modules/VERSION`.
///
/// A module that is not there is no failure: an image carries only some. Failures are collected and
/// logged; what a missing driver means is for whoever needs its device to say.
public final class ModuleLoader: Sendable {
    /// What became of all requests so far.
    public struct Record: Equatable, Sendable {
        /// Names in the order of loading, dependencies included.
        public var loaded: [String] = []
        public var failed: [String: Errno] = [:]
    }

    private struct State {
        var index: KernelModuleIndex?
        /// Modules that need no loading: loaded, or tried in vain.
        var settled: Set<String> = []
        /// What was asked already, with the answer.
        var asked: [String: Bool] = [:]
        var record = Record()
        /// Whether the kernel decompresses modules; `nil` before it was tried.
        var kernelDecompresses: Bool?
    }

    private let folder: FilePath
    private let blocked: Set<String>
    private let parameters: [String: [String]]
    private let log: Logger
    private let state = Mutex(State())

    public init(
        arguments: BootArguments, folder: FilePath = FilePath("/lib/modules").appending(Machine.kernelVersion),
        logger: Logger
    ) {
        self.folder = folder
        blocked = arguments.blockedModules
        parameters = arguments.moduleParameters
        log = logger
    }

    public var record: Record { state.withLock { $0.record } }

    /// Loads a module, or those that an alias stands for, with all they need; not those that the
    /// command line blocks, except where another needs them.
    ///
    /// - Returns: Whether the module is at work, be it built in.
    @discardableResult
    public func load(_ name: String) -> Bool {
        state.withLock { state in
            prepare(&state)
            guard let index = state.index else { return false }
            let modules = index.resolve(name)
            if modules.isEmpty { log.debug("no module \(name)") }
            return modules.map { load($0, index, &state) }.contains(true)
        }
    }

    /// Loads the drivers that a device asks for.
    ///
    /// - Returns: Whether there is at least one.
    @discardableResult
    public func loadDrivers(for modalias: String) -> Bool {
        state.withLock { state in
            if let known = state.asked[modalias] { return known }
            prepare(&state)
            guard let index = state.index else { return false }
            let modules = index.modules(matching: modalias)
            let found = modules.map { load($0, index, &state) }.contains(true)
            state.asked[modalias] = found
            return found
        }
    }

    private func prepare(_ state: inout State) {
        guard state.index == nil else { return }
        func text(_ name: String) -> [UInt8] { (try? Files.read(folder.appending(name))) ?? [] }
        let dependencies = text("modules.dep")
        if dependencies.isEmpty { log.warning("there are no modules in \(folder)") }
        state.index = KernelModuleIndex(
            dependencies: dependencies, aliases: text("modules.alias"),
            softDependencies: text("modules.softdep"), builtin: text("modules.builtin"))
        log.debug("modules of \(folder) indexed")
        // What something else has loaded need not even be read.
        for line in (Files.line("/proc/modules") ?? "").split(separator: "\n") {
            if let name = line.split(separator: " ").first { state.settled.insert(String(name)) }
        }
    }

    /// - Returns: Whether the module is at work afterwards.
    private func load(_ module: String, _ index: KernelModuleIndex, _ state: inout State) -> Bool {
        if index.isBuiltin(module) { return true }
        if blocked.contains(module) {
            log.info("module \(module) is blocked by the command line")
            return false
        }
        guard index.path(of: module) != nil else {
            log.debug("module \(module) is not here")
            return false
        }
        for path in index.loadOrder(of: module) {
            let name = KernelModuleIndex.name(ofPath: path)
            guard state.settled.insert(name).inserted else { continue }
            do throws(Errno) {
                try insert(path, parameters: (parameters[name] ?? []).joined(separator: " "), &state)
                state.record.loaded.append(name)
                log.debug("module \(name) loaded")
            } catch .operationNotSupportedByDevice {
                // It found nothing to drive, or not this processor.
                log.debug("module \(name) has nothing to do here")
                state.record.failed[name] = .operationNotSupportedByDevice
            } catch {
                log.warning("module \(name): \(error)")
                state.record.failed[name] = error
            }
        }
        return state.record.failed[module] == nil
    }

    private func insert(_ path: String, parameters: String, _ state: inout State) throws(Errno) {
        let file = folder.appending(path)
        guard let decompressors = ModuleLoader.decompressors(for: file) else {
            return try Machine.loadModule(file, parameters: parameters)
        }
        if state.kernelDecompresses != false {
            do throws(Errno) {
                try Machine.loadModule(file, parameters: parameters, compressed: true)
                state.kernelDecompresses = true
                return
            } catch {
                guard error == .notSupported || error == .invalidArgument else { throw error }
                if state.kernelDecompresses == true { throw error }
                state.kernelDecompresses = false
            }
        }
        for command in decompressors {
            guard let output = try? command.run() else { continue }
            return try Machine.loadModule(image: output.standardOutput, parameters: parameters)
        }
        log.warning("nothing here decompresses \(path)")
        throw .notSupported
    }

    /// Programs that write the plain module to standard output; `nil` where it is plain already.
    private static func decompressors(for file: FilePath) -> [Command]? {
        let path = file.string
        return switch file.extension {
        case "gz": [Command("busybox", ["zcat", path]), Command("gzip", ["-dc", path])]
        case "xz": [Command("busybox", ["xzcat", path]), Command("xz", ["-dc", path])]
        case "zst": [Command("zstd", ["-dc", path])]
        default: nil
        }
    }
}

/// The kernel's own requests: it runs `/sbin/modprobe -q -- NAME` when it misses a filesystem, a
/// cipher or a device-mapper target.
public enum ModuleRequest {
    /// - Parameter words: What follows the program's name. Options that ask for more or less words, or for what is done
    ///   anyway, change nothing.
    /// - Returns: The exit status: 0 where all are at work, 1 where one is not, 2 for an option that is not known.
    public static func main(_ words: [String], logger: Logger) -> Int32 {
        if let unknown = words.prefix(while: { $0 != "--" }).first(where: { $0.hasPrefix("-") && !isKnown($0) }) {
            try? Files.writeAll(Array("modprobe: \(unknown): no such option here\n".utf8), to: 2)
            return 2
        }
        let arguments = BootArguments(bytes: (try? Files.read("/proc/cmdline")) ?? [])
        let loader = ModuleLoader(arguments: arguments, logger: logger)
        let names = words.filter { !$0.hasPrefix("-") }
        return names.map { loader.load($0) }.contains(false) ? 1 : 0
    }

    /// Several letters may stand together: `-qab`.
    static func isKnown(_ option: String) -> Bool {
        let long: Set = ["--quiet", "--verbose", "--syslog", "--all", "--use-blacklist"]
        return long.contains(option) || option.count > 1 && option.dropFirst().allSatisfy("qvsab".contains)
    }
}
