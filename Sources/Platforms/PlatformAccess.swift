// Everything that platforms need from the outside; tests replace it by their own closures.

import BlockDevices
import CLinux
import Devices
import Encoding
import Fetching
import Glibc
import IgnitionConfig
import JSONText
import LinuxSystem
import Reporting
import SystemPackage

/// One request to a metadata service.
public struct MetadataRequest {
    /// The URL.
    public var url: SourceURL
    /// The headers of the request.
    public var headers: [(name: String, value: String)] = []
    /// How HTTP is used.
    public var exchange = HTTPExchange()
    /// Seconds for all attempts, if they differ from the fetcher's own limit.
    public var limit: Double?
    /// Called during the request; `false` means that the answer is no longer needed.
    public var isWanted: () -> Bool = { true }

    /// Creates a plain GET.
    ///
    /// - Throws: ``ResourceFailure`` where the text is not a URL: parts of it may come from a service or the kernel.
    public init(_ url: String, headers: [(name: String, value: String)] = []) throws(ResourceFailure) {
        do throws(SourceURL.Fault) { self.url = try SourceURL(parsing: url) } catch {
            throw ResourceFailure(source: RedactedURL(url), reason: .malformedURL(error))
        }
        self.headers = headers
    }
}

/// A file that a platform gives beside the config; in the real root it is root's alone.
public struct PlatformFile: Equatable, Sendable {
    /// Absolute in the real root.
    public var path: String
    /// The content, which may be as secret as the config.
    public var bytes: [UInt8]

    /// Takes both parts as they are.
    public init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }
}

extension [PlatformFile] {
    /// The files as a config writes them, which is Ignition's form, too; `null`: there are none.
    public var json: JSONValue {
        if isEmpty { return .null }
        return .array(
            map { file in
                [
                    "path": .string(file.path), "mode": JSONValue(0o600),
                    "contents": ["source": .string(DataURL.text(for: file.bytes))],
                ]
            })
    }

    /// Reads that form; `nil` where it is another, or refers to content elsewhere.
    public init?(_ json: JSONValue) {
        self = []
        for element in json.elements ?? [] {
            guard let path = element["path"]?.string, let source = element["contents"]?["source"]?.string,
                let content = try? DataURL(parsing: source)
            else { return nil }
            append(PlatformFile(path: path, bytes: content.bytes))
        }
    }
}

/// The ways in which a platform's config is read.
public struct PlatformAccess {
    /// Sends a request, and repeats it if the service does not answer or has a fault.
    public var request: (MetadataRequest) throws(ResourceFailure) -> [UInt8]
    /// Waits for the first of these block devices; `nil` after so many seconds (`nil` waits without limit).
    ///
    /// Without candidates it waits, and devices may appear meanwhile.
    public var device: (_ candidates: [FilePath], _ seconds: Double?) -> FilePath?
    /// The drives for discs.
    public var drives: () -> [FilePath] = { [] }
    /// Reads files of a device's filesystem by their paths in it; missing ones are left out.
    ///
    /// Only the types in `filesystems` are mounted; if it is empty, any type.
    public var files: (_ device: FilePath, _ filesystems: [String], _ paths: [String]) throws -> [String: [UInt8]]
    /// Loads a kernel module by name.
    public var loadModule: (String) -> Void = { _ in }
    /// The value of an environment variable; `nil` if it is unset or empty.
    public var environment: (String) -> String? = { _ in nil }
    /// The DHCP servers of this machine's leases.
    public var dhcpServers: () -> [String] = { [] }
    /// The names of the network interfaces.
    public var interfaces: () -> [String] = { [] }
    /// Where waits are reported.
    public var waits = Waits.untold
    /// Tells people what is left out.
    public var say: (String) -> Void = { _ in }
    /// The seconds by which it is told how far something long is.
    var uptime: () -> Double = { Machine.uptime() }
    /// The bytes of an entry of QEMU's firmware configuration by its key; `nil` if the device cannot be reached that
    /// way.
    var readFirmware: (UInt16, Int) -> [UInt8]? = readFirmwareAtItsPorts
    /// The files that an earlier attempt has kept, for a platform that tells them only once.
    public var keptFiles: () throws -> [PlatformFile] = { [] }
    /// Keeps files for the next attempt and for the real root.
    public var keepFiles: ([PlatformFile]) throws -> Void = { _ in }
    /// The kernel's device for Hyper-V's key-value pairs, and the seconds to wait.
    var keyValueDevice = FilePath("/dev/vmbus/hv_kvp")
    var keyValuePatience = (begin: 30.0, end: 2.0)
    /// VirtualBox's driver, if it is not that of this machine.
    var guestDriver: GuestDriver?
    var run: (Command) throws(Command.Failure) -> Command.Output = { command throws(Command.Failure) in
        try command.run()
    }
    /// The variables that VMware's hypervisor has for its guest.
    var guestInformation = GuestInformation()
    /// The kernel's view of devices: `/sys`.
    public var sysfs = FilePath("/sys")

    /// Creates an access from functions; everything else has its default.
    public init(
        request: @escaping (MetadataRequest) throws(ResourceFailure) -> [UInt8],
        device: @escaping ([FilePath], Double?) -> FilePath?,
        files: @escaping (FilePath, [String], [String]) throws -> [String: [UInt8]]
    ) {
        self.request = request
        self.device = device
        self.files = files
    }

    /// Access to nothing but the machine's hypervisor.
    public static var hypervisor: PlatformAccess {
        PlatformAccess(
            request: { request throws(ResourceFailure) in
                throw ResourceFailure(source: RedactedURL(request.url), reason: .offline)
            },
            device: { _, _ in nil }, files: { _, _, _ in [:] })
    }

    /// Access on this machine.
    ///
    /// The fetcher has the settings of the first fetch: no proxy, the machine's own certificate authorities. It reports
    /// its own waits; `waits` gets the others.
    public static func live(
        fetcher: ResourceFetcher, devices: DeviceAccess, waits: Waits = .untold,
        say: @escaping (String) -> Void
    ) -> PlatformAccess {
        var access = PlatformAccess(
            request: { request throws(ResourceFailure) in try perform(request, with: fetcher) },
            device: { candidates, seconds in
                devices.firstOf(candidates, seconds.map { Machine.uptime() + $0 } ?? .infinity)
            },
            files: { device, filesystems, paths in
                try readFiles(paths, on: device, filesystems: filesystems, loadModule: devices.loadModule)
            })
        access.drives = {
            devices.loadModule("sr_mod")
            return Files.names(in: "/sys/class/block").filter { $0.hasPrefix("sr") }.map { FilePath("/dev/\($0)") }
        }
        access.loadModule = devices.loadModule
        access.environment = { getenv($0).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }
        access.dhcpServers = leasingServers
        access.interfaces = { Files.names(in: "/sys/class/net").filter { $0 != "lo" } }
        access.say = say
        access.waits = waits
        return access
    }
}

func perform(_ request: MetadataRequest, with fetcher: ResourceFetcher) throws(ResourceFailure) -> [UInt8] {
    var resource = IgnitionConfig.Resource(source: .url(request.url))
    resource.httpHeaders = request.headers.map { name, value in
        var header = IgnitionConfig.HTTPHeader()
        header.name = name
        header.value = value
        return header
    }
    let settings = fetcher.settings
    if let limit = request.limit { fetcher.settings.totalTimeout = min(limit, settings.totalTimeout ?? limit) }
    defer { fetcher.settings = settings }
    let isWanted = fetcher.isWanted
    fetcher.isWanted = { isWanted() && request.isWanted() }
    defer { fetcher.isWanted = isWanted }
    return try fetcher.bytes(of: resource, exchange: request.exchange)
}

/// Reads files of a filesystem that is mounted for this alone; nothing is written to its device.
private func readFiles(
    _ paths: [String], on device: FilePath, filesystems: [String], loadModule: (String) -> Void
) throws -> [String: [UInt8]] {
    guard let type = try filesystemType(of: device.string), filesystems.isEmpty || filesystems.contains(type) else {
        throw PlatformFailure.noFilesystem(device)
    }
    var template = Array("/run/firstlight-volume-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
        throw PlatformFailure.cannotMount(device, type: type, Errno(rawValue: errno))
    }
    let folder = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    defer { rmdir(folder.string) }
    do throws(FileFault) {
        try ReadOnlyMounts.mount(
            device, on: folder, type: type, flags: Int(MS_NOSUID | MS_NODEV | MS_NOEXEC), loadModule: loadModule)
    } catch { throw PlatformFailure.cannotMount(device, type: type, error.reason) }
    defer { try? Mounts.unmount(folder, lazily: true) }
    var found: [String: [UInt8]] = [:]
    for path in paths {
        do throws(FileFault) {
            found[path] = try Files.read(path, inside: folder)
        } catch {
            if error.reason == .noSuchFileOrDirectory { continue }
            throw PlatformFailure.unreadable(device.appending(path), error.reason)
        }
    }
    return found
}
