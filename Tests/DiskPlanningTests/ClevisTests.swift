import DiskFormats
import IgnitionConfig
import JSONText
import Testing

@testable import DiskPlanning

@Suite struct ClevisBindings {
    private func volume(_ clevis: String, _ more: String = "") throws -> LocatedVolume {
        let text = """
            {"ignition": {"version": "3.4.0"}, "storage": {"luks": [
              {"name": "data", "device": "/dev/vda1", "clevis": \(clevis)\(more)}]}}
            """
        let config = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
        return LocatedVolume(
            entry: 0, wanted: config.storage.luks[0], node: "/dev/vda1",
            area: DiskArea(node: "/dev/vda", bytes: 0..<1 << 30), users: [])
    }

    private static let tang = #"{"tang": [{"url": "http://t", "thumbprint": "p"}]}"#
    private static let both = #"{"tpm2": true, "threshold": 2, "tang": [{"url": "http://t", "thumbprint": "p"}]}"#

    @Test(
        "clevis is told what Ignition tells it",
        arguments: [
            (tang, "sss", #"{"pins":{"tang":[{"url":"http://t","thp":"p"}]},"t":1}"#, "1 of tang http://t"),
            (#"{"tpm2": true}"#, "sss", #"{"pins":{"tpm2":{}},"t":1}"#, "1 of tpm2"),
            (
                both, "sss", #"{"pins":{"tang":[{"url":"http://t","thp":"p"}],"tpm2":{}},"t":2}"#,
                "2 of tang http://t, tpm2"
            ),
            (
                #"{"tang": [{"url": "http://t", "thumbprint": "p", "advertisement": "{\"keys\": []}"}]}"#, "sss",
                #"{"pins":{"tang":[{"url":"http://t","thp":"p","adv":{"keys":[]}}]},"t":1}"#, "1 of tang http://t"
            ),
            // An empty one is none, as it is where the network is asked for.
            (
                #"{"tang": [{"url": "http://t", "thumbprint": "p", "advertisement": ""}]}"#, "sss",
                #"{"pins":{"tang":[{"url":"http://t","thp":"p"}]},"t":1}"#, "1 of tang http://t"
            ),
            (
                #"{"custom": {"pin": "tpm2", "config": "{\"pcr_ids\": \"0,7\"}"}}"#, "tpm2", #"{"pcr_ids": "0,7"}"#,
                "tpm2 with PCRs 0,7"
            ),
            // The header has what clevis-encrypt-tpm2 leaves of it.
            (
                #"{"custom": {"pin": "tpm2", "config": "{\"pcr_ids\": \"0, 7\"}"}}"#, "tpm2", #"{"pcr_ids": "0, 7"}"#,
                "tpm2 with PCRs 0,7"
            ),
        ])
    func configs(json: String, pin: String, config: String, policy: String) throws {
        let clevis = try volume(json).wanted.clevis
        #expect(clevis.pin == pin && clevis.pinConfig == config)
        #expect(clevis.policy?.description == policy)
    }

    /// The tokens that `clevis luks bind` writes, with the parts of the key cut short.
    private func token(_ header: String) -> String {
        #"{"type":"clevis","keyslots":["1"],"jwe":{"protected":"\#(encoded(header))","encrypted_key":"","iv":"i","#
            + #""ciphertext":"c","tag":"t"}}"#
    }

    private func encoded(_ text: String) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var (digits, bits, count): ([UInt8], UInt32, Int) = ([], 0, 0)
        for byte in text.utf8 {
            (bits, count) = (bits << 8 | UInt32(byte), count + 8)
            while count >= 6 {
                count -= 6
                digits.append(alphabet[Int(bits >> UInt32(count)) & 63])
            }
        }
        if count > 0 { digits.append(alphabet[Int(bits << UInt32(6 - count)) & 63]) }
        return String(decoding: digits, as: UTF8.self)
    }

    private func header(threshold: Int, _ parts: String...) -> String {
        let jwes = parts.map { "\"\(encoded($0)).k.i.c.t\"" }.joined(separator: ",")
        return #"{"alg":"dir","clevis":{"pin":"sss","sss":{"jwe":[\#(jwes)],"p":"x","t":\#(threshold)}}}"#
    }

    private let server = #"{"alg":"ECDH-ES","clevis":{"pin":"tang","tang":{"adv":{},"url":"http://t"}}}"#
    private let module = #"{"alg":"dir","clevis":{"pin":"tpm2","tpm2":{"hash":"sha256","pcr_ids":"7"}}}"#

    @Test("a header's token tells what it is bound to")
    func tokens() throws {
        let both = try #require(FoundBinding(token: token(header(threshold: 2, module, server))))
        #expect(both.policy?.description == "2 of tang http://t, tpm2 with PCRs 7")
        #expect(both.encryptedKey.hasSuffix("..i.c.t"))
        #expect(FoundBinding(token: #"{"type":"systemd-tpm2","keyslots":["1"]}"#) == nil)
        // What cannot be read is there all the same, and matches nothing.
        #expect(FoundBinding(token: token("{"))?.policy == nil)
        #expect(FoundBinding(token: FoundBinding.token(both.encryptedKey)) == both)
    }

    @Test("a header without end is given up")
    func nesting() {
        var text = server
        for _ in 0..<12 { text = header(threshold: 1, text) }
        #expect(FoundBinding(token: token(text))?.policy == nil)
    }

    @Test("a volume is kept when it is bound as the config says, and opens")
    func decisions() throws {
        let luks2 = Content([Signature(type: "crypto_LUKS", version: "2")])
        var found = FoundVolume(uuid: "u", isOpenedByKey: true)
        found.bindings = [FoundBinding(token: token(header(threshold: 1, server)))].compactMap { $0 }
        #expect(try volume(Self.tang).plan(luks2, found).action == .keep)
        #expect(throws: DiskConflict.self) { try volume(Self.both).plan(luks2, found) }
        #expect(throws: DiskConflict.self) {
            try volume(#"{"tang": [{"url": "http://u", "thumbprint": "p"}]}"#).plan(luks2, found)
        }
        found.isOpenedByKey = false
        found.bindingFailure = "Error communicating with server http://t"
        let conflict = #expect(throws: DiskConflict.self) { try volume(Self.tang).plan(luks2, found) }
        #expect(conflict?.description.contains("tang http://t does not open: Error communicating") == true)
        // Somebody has erased its keys, and may have a copy.
        found.keySlots = 0
        #expect(throws: DiskConflict.self) { try volume(Self.tang).plan(luks2, found) }
        #expect(try volume(Self.tang).plan(.blank, nil).action == .create)
        #expect(try volume(Self.tang, #", "wipeVolume": true"#).plan(luks2, found).action == .create)
    }

    @Test(
        "it is proven where enough of it is at hand",
        arguments: [
            (tang, true), (#"{"tpm2": true}"#, true), (both, true),
            (
                #"{"threshold": 2, "tpm2": true, "tang": [{"url": "http://t", "thumbprint": "p", "#
                    + #""advertisement": "{}"}]}"#, false
            ),
            (#"{"custom": {"pin": "tpm2", "config": "{}"}}"#, false),
        ])
    func proof(json: String, isProvable: Bool) throws {
        #expect(try volume(json).wanted.clevis.isProvable == isProvable)
    }
}
