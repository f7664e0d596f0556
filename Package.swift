// swift-tools-version: 6.1

import PackageDescription

// Imports point one way: programs -> effects -> decisions -> descriptions.
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
        .target(name: "CLinux"),
        .target(name: "CBuild"),

        // Descriptions: values and grammars, no I/O
        .target(name: "Reporting"),
        .target(name: "BootArguments", dependencies: ["Reporting"]),
        .target(name: "JSONText"),
        .target(name: "IgnitionConfig", dependencies: ["JSONText", "Reporting"]),
        .target(name: "LiveImage", dependencies: ["Reporting"]),

        // Decisions: what is wanted + what is there -> a plan, no I/O
        .target(name: "Hardware", dependencies: ["Reporting", "BootArguments"]),
        .target(name: "Provisioning", dependencies: ["IgnitionConfig", "JSONText", "Reporting"]),

        // Effects
        .target(name: "LinuxSystem", dependencies: ["CBuild", "CLinux", "CMount", "Reporting", system, logging]),
        .target(
            name: "Fetching",
            dependencies: [
                "CCurl", "CCrypto", "CZlib", "LinuxSystem", "LiveImage", "IgnitionConfig", "Reporting", system, logging,
            ]),
        .target(
            name: "Networking",
            dependencies: [
                "BootArguments", "Hardware", "JSONText", "LinuxSystem", "Reporting", "TargetRoot", system, logging,
            ]),
        .target(
            name: "Devices",
            dependencies: [
                "BootArguments", "CBlkid", "CLinux", "Hardware", "LinuxSystem", "Reporting", system, logging,
            ]),
        .target(
            name: "BlockDevices",
            dependencies: [
                "CBlkid", "CCryptsetup", "CDevmapper", "CFdisk", "CLinux", "IgnitionConfig", "JSONText", "LinuxSystem",
                "Provisioning",
                "Reporting", system,
            ]),
        .target(
            name: "TargetRoot",
            dependencies: [
                "CLinux", "Fetching", "IgnitionConfig", "JSONText", "LinuxSystem", "Provisioning", "Reporting", system,
            ]),
        .target(
            name: "LiveRoot",
            dependencies: [
                "CLinux", "LiveImage", "BootArguments", "Fetching", "LinuxSystem", "Reporting", system, logging,
            ]),
        .target(
            name: "Platforms",
            dependencies: [
                "BlockDevices", "BootArguments", "CLinux", "Devices", "Fetching", "IgnitionConfig", "JSONText",
                "LinuxSystem",
                "Reporting", system,
            ]),
        .target(
            name: "ProvisioningEngine",
            dependencies: [
                "BlockDevices", "BootArguments", "CLinux", "Devices", "Fetching", "IgnitionConfig", "JSONText",
                "LinuxSystem", "LiveImage", "LiveRoot", "Platforms", "Provisioning", "Reporting", "TargetRoot", system,
            ]),

        // Ways in: what calls the engine, and never what mounts, fetches or plans
        .target(
            name: "Boot",
            dependencies: [
                "BootArguments", "CLinux", "Devices", "LinuxSystem", "LiveRoot", "Networking", "ProvisioningEngine",
                "Reporting", system, logging,
            ]),
        .target(
            name: "IgnitionCompat",
            dependencies: [
                "BootArguments", "Devices", "IgnitionConfig", "JSONText", "LinuxSystem", "ProvisioningEngine",
                "Reporting", system,
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
                "LiveImage", "Hardware", "LinuxSystem", "IgnitionConfig", "CCrypto", "CZlib", "Reporting", system,
            ]),
        .executableTarget(name: "firstlight-image", dependencies: ["InitramfsImage", arguments]),

        // Unit tests: no root, no guest, seconds
        .target(name: "SeededNumbers", path: "Tests/SeededNumbers"),
        .testTarget(name: "ReportingTests", dependencies: ["Reporting"]),
        .testTarget(name: "BootArgumentsTests", dependencies: ["BootArguments"]),
        .testTarget(name: "JSONTextTests", dependencies: ["JSONText"]),
        .testTarget(name: "IgnitionConfigTests", dependencies: ["IgnitionConfig", "SeededNumbers"]),
        .testTarget(name: "LiveImageTests", dependencies: ["LiveImage"]),
        .testTarget(name: "HardwareTests", dependencies: ["Hardware"]),
        .testTarget(name: "ProvisioningTests", dependencies: ["Provisioning", "SeededNumbers"]),
        .testTarget(name: "BlockDevicesTests", dependencies: ["BlockDevices", "SeededNumbers"]),
        .testTarget(name: "LinuxSystemTests", dependencies: ["LinuxSystem", "LoopbackServer"]),
        .testTarget(name: "TargetRootTests", dependencies: ["TargetRoot", "SeededNumbers"]),
        .target(name: "LoopbackServer", dependencies: ["CLinux", "LinuxSystem", system], path: "Tests/LoopbackServer"),
        .testTarget(name: "FetchingTests", dependencies: ["Fetching", "LoopbackServer"]),
        .testTarget(name: "LiveRootTests", dependencies: ["LiveRoot", "LoopbackServer"]),
        .testTarget(name: "NetworkingTests", dependencies: ["Networking", "LoopbackServer"]),
        .testTarget(name: "PlatformsTests", dependencies: ["Platforms", "LoopbackServer", "Reporting"]),
        .testTarget(name: "ProvisioningEngineTests", dependencies: ["ProvisioningEngine", "LoopbackServer"]),
        .testTarget(name: "BootTests", dependencies: ["Boot"]),
        .testTarget(name: "IgnitionCompatTests", dependencies: ["IgnitionCompat"]),
        .testTarget(name: "InitramfsImageTests", dependencies: ["InitramfsImage"]),
    ],
    swiftLanguageModes: [.v6]
)
