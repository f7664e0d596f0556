import Encoding
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
            // The same volume twice, by its name and by its UUID, under whichever name.
            ("a UUID=0 old\na UUID=1 none\n", "a UUID=1 /etc/luks/a luks,x-initrd.attach\n"),
            ("old UUID=1 none luks\nb none\n", "a UUID=1 /etc/luks/a luks,x-initrd.attach\nb none\n"),
            ("a UUID=1 /etc/luks/a mine\nold /dev/disk/by-uuid/1 none\n", "a UUID=1 /etc/luks/a mine\n"),
        ])
    func lines(before: String, after: String) {
        let volumes = [CrypttabEntry(name: "a", uuid: "1")]
        #expect(crypttabText(before, with: volumes) == after)
        #expect(crypttabText(after, with: volumes) == after)
    }

    @Test("a line that the config itself gives is not written again")
    func given() throws {
        func lines(_ text: String, policy: RerunPolicy = .own) -> [String] {
            var file = IgnitionConfig.File()
            file.path = "/etc/crypttab"
            file.contents.source = ConfigURL(text)
            var config = IgnitionConfig()
            config.storage.files = [file]
            let volumes = ["a", "b"].map {
                CrypttabEntry(name: $0, uuid: "\($0)-1", opener: .clevis(overNetwork: false))
            }
            config.persist(volumes, crypttab: nil, policy: policy)
            return config.storage.files[0].append.compactMap(\.source?.text)
        }
        #expect(lines("data:,a%20UUID%3Da-1%20none%0Aother%20UUID%3DB-1%0A").isEmpty)
        #expect(lines("data:,%23a%0Aa%20x%0A") == ["data:;base64,YiBVVUlEPWItMSBub25lIGx1a3MseC1pbml0cmQuYXR0YWNoCg=="])
        // What is fetched is not known here, and Ignition itself does not look.
        #expect(lines("http://config.example/crypttab").count == 1)
        #expect(lines("data:,a%20x%0Ab%20x%0A", policy: .strict).count == 1)
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
