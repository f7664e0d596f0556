// swift-tools-version: 6.1

import PackageDescription

// Imports point one way: programs -> ways in -> engine -> effects -> decisions -> descriptions.
// CONTRIBUTING.md holds the map of these targets.

/// One small C module per library; Debian's shared one in debug builds, our static one in the agent.
func library(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt])])
}

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "firstlight",
    products: [
        .executable(name: "firstlight", targets: ["firstlight"]),
        .executable(name: "firstlight-image", targets: ["firstlight-image"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
    ],
    targets: [
        // C libraries
        library("CBlkid", pkgConfig: "blkid", apt: "libblkid-dev"),
        library("CFdisk", pkgConfig: "fdisk", apt: "libfdisk-dev"),
        library("CMount", pkgConfig: "mount", apt: "libmount-dev"),
        library("CDevmapper", pkgConfig: "devmapper", apt: "libdevmapper-dev"),
        library("CCryptsetup", pkgConfig: "libcryptsetup", apt: "libcryptsetup-dev"),
        library("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        library("CCrypto", pkgConfig: "openssl", apt: "libssl-dev"),
        library("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        library("CLibyaml", pkgConfig: "yaml-0.1", apt: "libyaml-dev"),
        library("CLzma", pkgConfig: "liblzma", apt: "liblzma-dev"),
        library("CZstd", pkgConfig: "libzstd", apt: "libzstd-dev"),
        .target(name: "CLinux"),
        .target(name: "CBuild"),

        // Descriptions: values and grammars, no I/O
        .target(name: "Reporting"),
        .target(name: "Encoding"),
        .target(name: "Hashing", dependencies: ["CCrypto"]),
        .target(name: "BootArguments", dependencies: ["Encoding", "Reporting"]),
        .target(name: "JSONText", dependencies: ["Encoding"]),
        .target(name: "IgnitionConfig", dependencies: ["Encoding", "JSONText", "Reporting"]),
        .target(name: "LiveImage", dependencies: ["Encoding"]),
        .target(name: "DiskFormats", dependencies: ["Encoding"]),

        .target(
            name: "BootMedia",
            dependencies: [
                "CLibyaml", "CLzma", "CZlib", "CZstd", "Encoding", "IgnitionConfig", "JSONText", "LiveImage",
                "Reporting",
            ]),

        // Host tool only: the agent reads JSON.
        .target(
            name: "Butane",
            dependencies: ["CLibyaml", "CZlib", "Encoding", "IgnitionConfig", "JSONText", "Reporting"]),

        // Decisions: what is wanted + what is there -> a plan, no I/O
        .target(name: "KernelModules"),
        .target(name: "DeviceNames", dependencies: ["Encoding"]),
        .target(
            name: "NetworkPlanning",
            dependencies: ["BootArguments", "DeviceNames", "Encoding", "JSONText", "KernelModules", "Reporting"]),
        .target(name: "BootReport", dependencies: ["JSONText", "Reporting"]),
        .target(
            name: "DiskPlanning",
            dependencies: ["BootReport", "DiskFormats", "Encoding", "IgnitionConfig", "JSONText", "Reporting"]),
        .target(name: "Accounts", dependencies: ["IgnitionConfig", "Reporting"]),
        .target(
            name: "FilePlanning",
            dependencies: ["Accounts", "BootReport", "Encoding", "IgnitionConfig", "JSONText", "Reporting"]),

        // Effects
        .target(name: "LinuxSystem", dependencies: ["CBuild", "CLinux", "CMount", "Encoding", "Reporting", system]),
        .target(
            name: "Fetching",
            dependencies: [
                "CCrypto", "CCurl", "CZlib", "Encoding", "Hashing", "IgnitionConfig", "LinuxSystem", "Reporting",
                system,
            ]),
        .target(
            name: "Networking",
            dependencies: [
                "BootArguments", "CLinux", "DeviceNames", "Encoding", "Fetching", "Hashing", "LinuxSystem",
                "NetworkPlanning", "Reporting", "TargetRoot", system, logging,
            ]),
        .target(
            name: "Devices",
            dependencies: [
                "BootArguments", "CBlkid", "CLinux", "DeviceNames", "KernelModules", "LinuxSystem", "NetworkPlanning",
                "Reporting", system, logging,
            ]),
        .target(
            name: "BlockDevices",
            dependencies: [
                "CBlkid", "CCryptsetup", "CDevmapper", "CFdisk", "CLinux", "DiskFormats", "DiskPlanning", "Encoding",
                "Hashing", "IgnitionConfig", "JSONText", "LinuxSystem", "Reporting", system,
            ]),
        .target(
            name: "TargetRoot",
            dependencies: [
                "Accounts", "BootReport", "CLinux", "Encoding", "FilePlanning", "Hashing", "IgnitionConfig",
                "JSONText", "LinuxSystem", "Reporting", system,
            ]),
        .target(
            name: "LiveRoot",
            dependencies: [
                "CLinux", "Encoding", "Fetching", "Hashing", "LinuxSystem", "LiveImage", "Reporting", system,
            ]),
        .target(
            name: "Platforms",
            dependencies: [
                "BlockDevices", "BootArguments", "CLinux", "Devices", "Encoding", "Fetching", "IgnitionConfig",
                "JSONText", "LinuxSystem", "NetworkPlanning", "Reporting", system,
            ]),

        // Engine: what every way of provisioning runs
        .target(
            name: "ProvisioningEngine",
            dependencies: [
                "BlockDevices", "BootArguments", "BootReport", "CLinux", "Devices", "DiskFormats", "DiskPlanning",
                "Encoding", "Fetching", "FilePlanning", "Hashing", "IgnitionConfig", "JSONText", "LinuxSystem",
                "LiveImage", "LiveRoot", "NetworkPlanning", "Platforms", "Reporting", "TargetRoot", system,
            ]),

        // Ways in: what calls the engine, and never what mounts, fetches or plans
        .target(
            name: "Boot",
            dependencies: [
                "BootArguments", "CLinux", "Devices", "LinuxSystem", "NetworkPlanning", "Networking",
                "ProvisioningEngine", "Reporting", system, logging,
            ]),
        .target(
            name: "IgnitionCompat",
            dependencies: [
                "BootArguments", "Devices", "Encoding", "IgnitionConfig", "JSONText", "LinuxSystem",
                "ProvisioningEngine", "Reporting", system,
            ]),
        .target(
            name: "Commands",
            dependencies: [
                "BootArguments", "Devices", "IgnitionConfig", "JSONText", "LinuxSystem", "ProvisioningEngine",
                "Reporting", system,
            ]),

        // Programs
        .executableTarget(
            name: "firstlight",
            dependencies: [
                "Boot", "CLinux", "Commands", "Devices", "IgnitionCompat", "Networking", "ProvisioningEngine",
                "Reporting", arguments, logging,
            ]),
        .target(
            name: "InitramfsImage",
            dependencies: [
                "BootMedia", "CZlib", "Encoding", "Hashing", "IgnitionConfig", "KernelModules", "LinuxSystem",
                "LiveImage", "NetworkPlanning", "Reporting", system,
            ]),
        .target(
            name: "MediaEditing",
            dependencies: [
                "BootMedia", "CLinux", "Encoding", "Hashing", "JSONText", "LinuxSystem", "Reporting", system,
            ]),
        .target(
            name: "ImageMaking",
            dependencies: [
                "BootArguments", "BootMedia", "CLinux", "Encoding", "Hashing", "InitramfsImage", "JSONText",
                "LinuxSystem", "LiveImage", "Reporting", system,
            ]),
        .executableTarget(
            name: "firstlight-image",
            dependencies: [
                "BootMedia", "Butane", "CLinux", "IgnitionConfig", "ImageMaking", "InitramfsImage", "JSONText",
                "LinuxSystem", "LiveImage", "MediaEditing", "Reporting", arguments, system,
            ]),

        // Unit tests: no root, no guest, seconds
        .target(name: "SeededNumbers", path: "Tests/SeededNumbers"),
        .testTarget(name: "ReportingTests", dependencies: ["Reporting"]),
        .testTarget(name: "EncodingTests", dependencies: ["Encoding"]),
        .testTarget(name: "BootArgumentsTests", dependencies: ["BootArguments"]),
        .testTarget(name: "JSONTextTests", dependencies: ["JSONText"]),
        .testTarget(name: "IgnitionConfigTests", dependencies: ["IgnitionConfig", "SeededNumbers"]),
        .testTarget(
            name: "ButaneTests", dependencies: ["Butane", "CZlib", "IgnitionConfig", "JSONText", "SeededNumbers"]),
        .testTarget(name: "LiveImageTests", dependencies: ["LiveImage"]),
        .testTarget(name: "DiskFormatsTests", dependencies: ["DiskFormats"]),
        .testTarget(name: "KernelModulesTests", dependencies: ["KernelModules"]),
        .testTarget(name: "DeviceNamesTests", dependencies: ["DeviceNames"]),
        .testTarget(name: "NetworkPlanningTests", dependencies: ["NetworkPlanning"]),
        .testTarget(name: "BootReportTests", dependencies: ["BootReport"]),
        .testTarget(name: "DiskPlanningTests", dependencies: ["DiskPlanning", "InitramfsImage", "SeededNumbers"]),
        .testTarget(name: "AccountsTests", dependencies: ["Accounts"]),
        .testTarget(name: "FilePlanningTests", dependencies: ["FilePlanning"]),
        .testTarget(name: "DevicesTests", dependencies: ["Devices", "LoopbackServer"]),
        .testTarget(name: "BlockDevicesTests", dependencies: ["BlockDevices", "SeededNumbers"]),
        .testTarget(name: "LinuxSystemTests", dependencies: ["LinuxSystem", "LoopbackServer"]),
        .testTarget(name: "TargetRootTests", dependencies: ["CLinux", "SeededNumbers", "TargetRoot"]),
        .target(name: "LoopbackServer", dependencies: ["CLinux", "LinuxSystem", system], path: "Tests/LoopbackServer"),
        .testTarget(name: "FetchingTests", dependencies: ["Fetching", "LoopbackServer"]),
        .testTarget(name: "LiveRootTests", dependencies: ["LiveRoot", "LoopbackServer"]),
        .testTarget(name: "NetworkingTests", dependencies: ["Networking", "LoopbackServer"]),
        .testTarget(name: "PlatformsTests", dependencies: ["Platforms", "LoopbackServer", "Reporting"]),
        .testTarget(name: "ProvisioningEngineTests", dependencies: ["ProvisioningEngine", "LoopbackServer"]),
        .testTarget(name: "BootTests", dependencies: ["Boot"]),
        .testTarget(name: "CommandsTests", dependencies: ["Commands", "LoopbackServer"]),
        .testTarget(name: "IgnitionCompatTests", dependencies: ["IgnitionCompat"]),
        .testTarget(name: "InitramfsImageTests", dependencies: ["BootMedia", "InitramfsImage"]),
        .testTarget(name: "ImageToolTests", dependencies: ["CLinux", "firstlight-image"]),
        .testTarget(name: "ImageMakingTests", dependencies: ["BootMedia", "CLinux", "ImageMaking", "InitramfsImage"]),
        .target(name: "MediaSamples", path: "Tests/MediaSamples"),
        .testTarget(
            name: "BootMediaTests",
            dependencies: ["BootMedia", "CZlib", "CZstd", "JSONText", "MediaSamples"]),
        .testTarget(name: "MediaEditingTests", dependencies: ["BootMedia", "MediaEditing", "MediaSamples"]),
    ],
    swiftLanguageModes: [.v6]
)
