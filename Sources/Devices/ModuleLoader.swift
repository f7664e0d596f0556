// Loading kernel modules: in order, with parameters, decompressed if the kernel cannot do it.

import BootArguments
import Glibc
import KernelModules
import LinuxSystem
import Logging
import Synchronization
import SystemPackage

/// Loads modules of the running kernel from `/lib/modules/VERSION`.
///
/// A missing module is not a failure, because an image has only some of them. Failures are collected and logged; code
/// that needs a device reports what its missing driver means.
public final class ModuleLoader: Sendable {
    /// The result of all requests so far.
    public struct Record: Equatable, Sendable {
        /// The names in the order of loading, dependencies included.
        public var loaded: [String] = []
        /// The modules that could not be loaded, with the kernel's reason.
        public var failed: [String: Errno] = [:]
    }

    private struct State {
        var index: KernelModuleIndex?
        /// Modules that need no loading: they are loaded, or were tried in vain.
        var tried: Set<String> = []
        /// The answers for modaliases that were requested already.
        var asked: [String: Bool] = [:]
        var record = Record()
        /// Whether the kernel decompresses modules; `nil` before that was tried.
        var kernelDecompresses: Bool?
    }

    private let folder: FilePath
    private let blocked: Set<String>
    private let parameters: [String: [String]]
    private let log: Logger
    private let state = Mutex(State())

    /// Creates a loader that has read nothing yet.
    public init(
        arguments: BootArguments, folder: FilePath = FilePath("/lib/modules").appending(Machine.kernelVersion),
        logger: Logger
    ) {
        self.folder = folder
        blocked = arguments.blockedModules
        parameters = arguments.moduleParameters
        log = logger
    }

    /// The result of all requests so far.
    public var record: Record { state.withLock { $0.record } }

    /// Loads a module, or those of an alias, with their dependencies.
    ///
    /// Modules that the command line blocks are loaded only if another one needs them.
    ///
    /// - Parameter name: A module or an alias.
    /// - Returns: Whether the module is loaded or built in.
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

    /// Loads the drivers for a device.
    ///
    /// - Parameter modalias: The device's `modalias`.
    /// - Returns: Whether at least one is loaded or built in.
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
        // Modules that were loaded by something else are not read again.
        for line in (Files.line("/proc/modules") ?? "").split(separator: "\n") {
            if let name = line.split(separator: " ").first { state.tried.insert(String(name)) }
        }
    }

    /// Loads a module and its dependencies; returns whether it is loaded or built in.
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
            guard state.tried.insert(name).inserted else { continue }
            do throws(Errno) {
                try insert(path, parameters: (parameters[name] ?? []).joined(separator: " "), &state)
                state.record.loaded.append(name)
                log.debug("module \(name) loaded")
            } catch .operationNotSupportedByDevice {
                // The module found no device, or needs another processor.
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

    /// Programs that write the plain module to standard output; `nil` if the file is plain already.
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

/// The kernel's own requests: it runs `/sbin/modprobe -q -- NAME` if a filesystem, cipher or device-mapper target is
/// missing.
public enum ModuleRequest {
    /// Acts as modprobe(8).
    ///
    /// - Parameters:
    ///   - words: The arguments. Options for more or fewer messages, or for what is done anyway, change nothing.
    ///   - logger: Receives what the loader reports.
    /// - Returns: The exit status: 0 if all modules are loaded, 1 if one is not, 2 for an unknown option.
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

    /// Whether an option is known; several letters may be joined: `-qab`.
    static func isKnown(_ option: String) -> Bool {
        let long: Set = ["--quiet", "--verbose", "--syslog", "--all", "--use-blacklist"]
        return long.contains(option) || option.count > 1 && option.dropFirst().allSatisfy("qvsab".contains)
    }
}
