import IgnitionConfig
import Testing

@testable import FilePlanning

@Suite struct Crypttab {
    @Test(
        "a volume has one line of crypttab, however often it is written",
        arguments: [
            ("", "a UUID=1 /etc/luks/a luks,x-initrd.attach\n"),
            ("# none\nb none", "# none\nb none\na UUID=1 /etc/luks/a luks,x-initrd.attach\n"),
            ("a UUID=0 old\nb\n", "a UUID=1 /etc/luks/a luks,x-initrd.attach\nb\n"),
            ("b none\r\na UUID=0 old\r\n", "b none\r\na UUID=1 /etc/luks/a luks,x-initrd.attach\n"),
            ("ab x\n", "ab x\na UUID=1 /etc/luks/a luks,x-initrd.attach\n"),
        ])
    func lines(before: String, after: String) {
        let volumes = [CrypttabEntry(name: "a", uuid: "1")]
        #expect(crypttabText(before, with: volumes) == after)
        #expect(crypttabText(after, with: volumes) == after)
    }

    @Test("the real root opens it by Clevis, with a network where that takes one")
    func byClevis() {
        let lines = [true, false].map { CrypttabEntry(name: "a", uuid: "1", opener: .clevis(overNetwork: $0)).line }
        #expect(
            lines == ["a UUID=1 none luks,_netdev,x-initrd.attach", "a UUID=1 none luks,x-initrd.attach"])
        var config = IgnitionConfig()
        config.persist([CrypttabEntry(name: "a", uuid: "1", opener: .clevis(overNetwork: true))], crypttab: nil)
        #expect(config.storage.files.map(\.path) == ["/etc/crypttab"] && config.storage.directories.isEmpty)
    }
}
