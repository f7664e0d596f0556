// The programs of Clevis: a passphrase given to a pin, and had back from it.

import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import SystemPackage

/// A passphrase that opens a volume, and the token by which Clevis gets it back.
struct VolumeBinding {
    var passphrase: SecretBytes
    /// JSON, as it stands in a LUKS2 header.
    var token: String
}

/// What Clevis returned is not what it was given.
struct BindingNotProven: Error, CustomStringConvertible {
    var policy: String

    var description: String { "Clevis does not give back the key that it bound to \(policy)" }
}

enum Clevis {
    /// Binds a new passphrase to what the config says. Nothing is written anywhere.
    static func bind(_ wanted: IgnitionConfig.Clevis, _ keys: VolumeKeys) throws -> VolumeBinding {
        for server in wanted.tang where (server.advertisement ?? "").isEmpty {
            // With the patience of every other fetch; what clevis itself runs has little.
            try keys.ask(server.url + "/adv")
        }
        // Digits: what reads it back is a shell.
        let passphrase = SecretBytes.randomDigits(bytes: 32)
        let encrypted = try Command("clevis", ["encrypt", wanted.pin, wanted.pinConfig ?? ""]).run(secret: passphrase)
        let text = encrypted.withBytes { String(decoding: $0, as: UTF8.self) }.filter { !$0.isWhitespace }
        if wanted.isProvable {
            let back = try decrypt(text)
            guard back.hasSameBytes(as: passphrase) else {
                throw BindingNotProven(policy: wanted.policy.map { "\($0)" } ?? wanted.pin)
            }
        }
        return VolumeBinding(passphrase: passphrase, token: FoundBinding.token(text))
    }

    /// - Parameter encryptedKey: In JWE's compact form.
    static func decrypt(_ encryptedKey: String) throws(Command.Failure) -> SecretBytes {
        try Command("clevis", ["decrypt"]).run(secret: SecretBytes(Array(encryptedKey.utf8)))
    }

    static func reason(_ failure: Command.Failure) -> String {
        if case .failed(_, _, let said) = failure, !said.isEmpty { return said }
        return "\(failure)"
    }
}
