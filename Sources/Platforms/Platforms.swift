// Platforms: the config that the machine's platform provides: from a metadata service, a labelled volume or firmware.
// There is one file for each way; this one says which platform uses which.

import BootArguments
import IgnitionConfig
import Reporting
import SystemPackage

extension Platform {
    /// The user's config as the platform provides it, decoded; `nil` or empty if there is none.
    ///
    /// It waits for a platform that does not answer, and reports what it waits for.
    ///
    /// - Parameter access: The ways in which the config is read.
    /// - Returns: The bytes of the config.
    /// - Throws: ``PlatformFailure``, `ResourceFailure`, or what is wrong with a volume.
    public func userConfig(through access: PlatformAccess) throws -> [UInt8]? {
        switch self {
        case .metal: nil
        case .qemu: try access.qemuConfig()
        case .file: try access.fileConfig()
        case .nvidiabluefield: try access.bootFifoConfig()

        case .aliyun: try access.plain("http://100.100.100.200/latest/user-data")
        case .digitalocean: try access.plain("\(linkLocal)/metadata/v1/user-data", mayBeMissing: false)
        case .exoscale: try access.plain("\(linkLocal)/1.0/user-data")
        case .hetzner: try access.plain("\(linkLocal)/hetzner/v1/userdata")
        case .upcloud: try access.plain("\(linkLocal)/metadata/v1/user_data")
        case .vultr: try access.plain("\(linkLocal)/user-data/user-data")
        case .packet: try access.packetConfig()
        case .scaleway: try access.scalewayConfig()
        case .akamai: try access.akamaiConfig()
        case .aws: try access.awsConfig()
        case .gcp: try access.gcpConfig()
        case .oraclecloud: try access.oracleConfig()
        case .azure: try access.azureConfig()

        case .azurestack: try access.azureDiscConfig(filesystems: ["udf", "iso9660"])
        case .brightbox, .openstack: try access.openstackConfig()
        case .cloudstack: try access.cloudstackConfig()
        case .ibmcloud: try access.ibmConfig()
        case .kubevirt: try access.kubevirtConfig()
        case .nutanix, .powervs: try access.configDriveConfig()
        case .proxmoxve: try access.proxmoxConfig()
        case .vmware: try access.vmwareConfig()

        case .applehv: try access.appleConfig()
        case .hyperv: try access.hyperVConfig()
        case .virtualbox: try access.virtualBoxConfig()
        case .zvm: try access.readerConfig()
        }
    }

    /// Deletes the config from the hypervisor, so that its secrets do not stay there.
    ///
    /// - Parameter access: The ways in which the hypervisor is reached.
    /// - Throws: ``PlatformFailure/keepsConfig(_:)`` if the platform cannot do that, or what stopped it.
    public func removeUserConfig(through access: PlatformAccess) throws {
        switch self {
        case .vmware: try access.removeVMwareConfig()
        case .virtualbox: try access.removeVirtualBoxConfig()
        default: throw PlatformFailure.keepsConfig(self)
        }
    }

    /// Where the config comes from, for messages.
    public var source: String {
        switch self {
        case .metal: "none"
        case .qemu: "QEMU's firmware configuration (opt/com.coreos/config)"
        case .file: "IGNITION_CONFIG_FILE"
        case .nvidiabluefield: "the boot FIFO"
        case .brightbox, .cloudstack, .openstack: "the config drive or metadata service of \(self)"
        case .azure: "the metadata service or disc of azure"
        case .azurestack: "the disc of azurestack"
        case .vmware: "the guestinfo of vmware"
        case .applehv: "the host of applehv"
        case .hyperv: "the key-value pairs of hyperv"
        case .virtualbox: "the guest properties of virtualbox"
        case .zvm: "the virtual reader of zvm"
        case .ibmcloud, .kubevirt, .nutanix, .powervs, .proxmoxve: "the config drive of \(self)"
        default: "the metadata service of \(self)"
        }
    }
}

/// The address of most metadata services.
let linkLocal = "http://169.254.169.254"

/// Why a platform's config cannot be read; failed requests have a `ResourceFailure`.
public enum PlatformFailure: Error, Equatable {
    /// The platform is unknown, or there is no way to ask it.
    case unsupported(String)
    case noFirmwareDevice
    case unreadable(FilePath, Errno)
    case unwritable(FilePath, Errno)
    /// The driver's device cannot be opened; `module`: the kernel's for the driver.
    case device(FilePath, Errno, module: String, Platform)
    /// The file should have this many bytes, and has not.
    case wrongLength(FilePath, bytes: Int)
    /// The file states a length that a config cannot have.
    case badLength(FilePath, String)
    case empty(FilePath)
    case noToken(Platform)
    case noKeys(role: String)
    case noPhoneHome
    case notBase64(Platform)
    case notGzip(Platform, String)
    case unknownEncoding(Platform, String)
    /// Its config cannot be deleted from here.
    case keepsConfig(Platform)
    /// No volume with that label appeared within so many seconds; `nil`: none were set.
    case noVolume(label: String, seconds: Int?)
    case noFile(String, on: FilePath)
    case noFilesystem(FilePath)
    case cannotMount(FilePath, type: String, Errno)
    /// Another stage failed, so the config is no longer needed.
    case cancelled
}

extension PlatformFailure: CustomStringConvertible {
    /// What went wrong, for a message.
    public var description: String {
        switch self {
        case .unsupported(let name): "ignition.platform.id=\(name) is not supported"
        case .noFirmwareDevice: "this machine has no firmware configuration device (qemu_fw_cfg)"
        case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
        case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
        case .device(let path, let reason, _, _): "cannot read \(path): \(reason)"
        case .badLength(let path, let text): "\(path) says \(text.prefix(20)), which is not the length of a config"
        case .wrongLength(let path, let bytes): "\(path) does not hold the \(bytes) bytes that it should"
        case .empty(let path): "\(path) holds no config"
        case .noToken(let platform): "the metadata service of \(platform) gave an empty token"
        case .noKeys(let role): "the metadata service gave no keys for the role \(role)"
        case .noPhoneHome: "the metadata service of packet names no phone_home_url"
        case .notBase64(let platform): "the user data of \(platform) is not base64"
        case .notGzip(let platform, let what): "the user data of \(platform): \(what)"
        case .unknownEncoding(let platform, let name): "the config of \(platform) is in an unknown encoding: \(name)"
        case .keepsConfig(let platform): "the config of \(platform) cannot be deleted from here"
        case .noVolume(let label, nil): "no volume labelled \(label) appeared"
        case .noVolume(let label, let seconds?): "no volume labelled \(label) appeared within \(seconds) s"
        case .noFile(let file, let device): "there is no \(file) on \(device)"
        case .cancelled: "no longer wanted"
        case .noFilesystem(let device): "\(device) holds no filesystem that a config could be on"
        case .cannotMount(let device, let type, let reason): "cannot mount the \(type) on \(device): \(reason)"
        }
    }
}

extension PlatformFailure: Advising {
    /// What the operator can do.
    public var advice: [String] {
        switch self {
        case .unsupported:
            wrapped("Supported are \(Platform.allCases.map(\.rawValue).joined(separator: ", ")).")
                + ["Elsewhere: ignition.platform.id=metal and ignition.config.url=URL."]
        case .noFirmwareDevice:
            ["ignition.platform.id=qemu is for QEMU; use ignition.platform.id=metal elsewhere."]
        case .device(_, _, let module, let platform):
            [
                "The machine is not on \(platform), or the initramfs lacks the kernel's module",
                "\(module), which firstlight-image initramfs --modules generic takes along.",
            ]
        case .noVolume:
            ["Check the label, and that the volume is attached. Longer: rd.timeout=SECONDS"]
        case .noFile: ["Check the label and the path, and that the volume is attached."]
        case .noToken, .notBase64, .notGzip: ["Check the user data that the machine was given."]
        case .unknownEncoding: ["Use base64, gzip or gzip+base64."]
        case .keepsConfig: ["Only the configs of vmware and virtualbox can be deleted, from a machine there."]
        case .noPhoneHome, .unwritable, .cancelled: []
        case .noKeys: ["Check the role that the instance was given."]
        case .noFilesystem, .cannotMount: ["Check the volume; the kernel's messages say more (dmesg)."]
        case .unreadable, .wrongLength, .badLength, .empty: ["Check what the machine was given as its config."]
        }
    }
}

/// Breaks a text into lines of at most 72 columns.
private func wrapped(_ text: String) -> [String] {
    var lines = [""]
    for word in text.split(separator: " ") {
        if let last = lines.last, !last.isEmpty, last.count + word.count >= 72 { lines.append("") }
        lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : " ") + word
    }
    return lines
}
