// Who this machine is to DHCP servers and to the real root.

import BootArguments
import Encoding
import Fetching
import Hashing
import LinuxSystem
import NetworkPlanning
import SystemPackage

/// Who this machine is to DHCP servers and to the real root.
///
/// By default a card's address is all that a server learns, as NetworkManager has it in an initramfs: reservations
/// depend on it. `firstlight.identity=uuid` makes everything of the machine's UUID instead, so that it is the same at
/// every boot, whichever card is used.
struct MachineIdentity: Equatable {
    /// 16 bytes each; `nil`: not asked for, or not available.
    private var unique: [UInt8]?
    /// For `/etc/machine-id`: 32 hexadecimal digits.
    private(set) var machineID: String?

    /// - Parameter uuid: The machine's; `nil`: the cards tell who it is.
    init(uuid: MachineUUID?) {
        guard let uuid else { return }
        func hash(_ purpose: String) -> [UInt8] {
            let text = Array("firstlight \(purpose) ".utf8) + uuid.bytes
            return Array(text.withUnsafeBytes { MessageDigest.sha256($0) }.prefix(16))
        }
        unique = hash("duid")
        var identifier = hash("machine-id")
        // A UUID of version 4, as machine-id(5) wants it.
        identifier[6] = identifier[6] & 0x0f | 0x40
        identifier[8] = identifier[8] & 0x3f | 0x80
        machineID = hexadecimal(identifier)
    }

    /// The identity that the arguments ask for; `report` is told where the UUID is asked for and cannot be used.
    static func ofThisMachine(_ arguments: NetworkArguments, report: (String) -> Void) -> MachineIdentity {
        guard arguments.identityIsUUID else { return MachineIdentity(uuid: nil) }
        let text = Files.line("/sys/class/dmi/id/product_uuid")
        let uuid = text.flatMap { MachineUUID($0) }
        if uuid == nil {
            let what = text.map { "the machine's UUID \($0) is shared by others" } ?? "this machine has no UUID"
            report("firstlight.identity=uuid: \(what); the card's address is used")
        }
        return MachineIdentity(uuid: uuid)
    }

    /// The identifier for DHCPv4, option 61: an association's number and a DUID (RFC 4361); `nil`: the card's address.
    func clientID(_ mac: MACAddress?) -> DHCPClientID? {
        guard unique != nil else { return nil }
        return DHCPClientID(bytes: [255] + (mac?.bytes.suffix(4) ?? [0, 0, 0, 0]) + duid(mac))
    }

    /// The DUID for DHCPv6: of the UUID (type 4), or of the card's address (type 3) (RFC 8415, 11).
    func duid(_ mac: MACAddress?) -> [UInt8] {
        if let unique { return [0, 4] + unique }
        return [0, 3, 0, 1] + (mac?.bytes ?? [0, 0, 0, 0, 0, 0])
    }
}
