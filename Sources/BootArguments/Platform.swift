// The platforms that `ignition.platform.id=` names, as Ignition does.

/// Where a machine runs, which decides where its config comes from.
public enum Platform: String, CaseIterable, Sendable, CustomStringConvertible {
    case akamai, aliyun, applehv, aws, azure, azurestack, brightbox, cloudstack, digitalocean, exoscale, file, gcp
    case hetzner, hyperv, ibmcloud, kubevirt, metal, nutanix, nvidiabluefield, openstack, oraclecloud, packet
    case powervs, proxmoxve, qemu, scaleway, upcloud, virtualbox, vmware, vultr, zvm

    /// Whether its answer comes over the network, at least in part.
    public var needsNetwork: Bool {
        switch self {
        case .akamai, .aliyun, .aws, .azure, .brightbox, .cloudstack, .digitalocean, .exoscale, .gcp, .hetzner,
            .openstack, .oraclecloud, .packet, .scaleway, .upcloud, .vultr:
            true
        default: false
        }
    }

    /// The name as `ignition.platform.id=` has it.
    public var description: String { rawValue }
}
