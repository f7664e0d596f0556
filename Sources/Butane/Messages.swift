// Butane's messages, word for word: people search for them, and tests compare them.

enum Message {
    static let tooManySources = "only one of the following can be set: inline, local, source"
    static let escapes = "local file path traverses outside the files directory"
    static let treeEntry = "trees may only contain files, directories, and symlinks"
    static let nodeExists = "matching filesystem node has existing contents or different type"
    static let noFilesDirectory =
        "local file paths are relative to a files directory that must be specified with -d/--files-dir"
    static let treeRoot = "root of tree must be a directory"
    static let treeWithoutLocal = "local is required"
    static let decimalMode =
        "unreasonable mode would be reasonable if specified in octal; remember to add a leading zero"
    static let tooManyContents = "only one of the following can be set: contents, contents_local"
    static let quadletExtension =
        "unsupported file extension for quadlet: must be one of .container, .volume, .network, .kube, .image, .build, "
        + ".pod, or .artifact"
    static let instanceContents = "template instances cannot have contents or contents_local"
    static let mountWithoutPath = "path is required if with_mount_unit is true and format is not swap"
    static let mountWithoutFormat = "format is required if with_mount_unit is true"
    static let mountPlace = "path must be under /etc or /var if with_mount_unit is true"
    static let unknownIgnitionVersion =
        "skipping validation for the merge/replace ignition config due to an unkown version"

    static func layout(fcos: Int) -> String {
        "layout must be one of: "
            + (fcos >= 6 ? "aarch64, ppc64le, s390x-eckd, s390x-virt, s390x-zfcp, x86_64" : "aarch64, ppc64le, x86_64")
    }
    static let fewMirrorDevices = "mirroring requires at least two devices"
    static let bootDeviceMissing = "device is required for layouts: s390x-eckd, s390x-zfcp"
    static let mirrorUnsupported = "mirroring not supported on layouts: s390x-eckd, s390x-zfcp, s390x-virt"
    static let mirrorWithoutLayout = "boot_device.layout should be specified when boot_device.mirror is specified"
    static let bootDeviceName =
        "device name must start with /dev/dasd on s390x-eckd layout or /dev/sd on s390x-zfcp layout"
    static let cexElsewhere = "when using cex the targeted architecture must match s390x"
    static let cexWithClevis = "cannot use cex with clevis"
    static let noLuksMethod = "no method specified for luks"

    static let reuseByLabel =
        "partitions cannot be reused by label; number must be specified except on boot disk "
        + "(/dev/disk/by-id/coreos-boot-disk) or when wipe_table is true"
    static let partitionNumber =
        "incorrect partition number; a new partition will be created using reserved label"
    static let rootTooSmall = "root should have 8GiB of space assigned"
    static let rootConstrained =
        "root partition cannot expand; it is set to fill available space but is followed by an auto-positioned "
        + "partition"

    static let grubName = "field \"name\" is required"
    static let grubPassword = "field \"password_hash\" is required"

    static let ignoredInRaw = "field ignored in raw mode"
    static let metadataName = "metadata.name is required"
    static let role = "machineconfiguration.openshift.io/role label is required"
    static let kernelType = "must be empty, \"default\", or \"realtime\""
    static let cexArgument =
        "'rd.luks.key=/etc/luks/cex.key' must be set as kernel argument when CEX is enabled for the boot device"

    static func unsupported(_ what: String, _ verb: String = "is") -> String {
        "\(what) \(verb) not supported in this spec version"
    }
    static let sourceScheme = "file contents source must be data URL in this spec version"
    static let userFields =
        "fields other than \"name\", \"ssh_authorized_keys\", and \"password_hash\" (4.13.0+) are not supported "
        + "in this spec version"
    static let openshiftArguments =
        "this section cannot be used for kernel arguments in this spec version; "
        + "use openshift.kernel_arguments instead"
    static let cexPlatform = "cex is not currently supported on the target platform"

    static let sourceInvalid = "source config is invalid"
    static let resultInvalid = "config generated was invalid"
}
