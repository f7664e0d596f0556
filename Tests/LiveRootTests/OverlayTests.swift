import BootArguments
import Testing

@testable import LiveRoot

@Suite struct Overlays {
    @Test("the writable layer has its size and no limit of inodes", arguments: [("50%", "50%"), ("2G", "2147483648")])
    func options(text: String, size: String) throws {
        #expect(try #require(OverlaySize(text)).mountOptions == "size=\(size),nr_inodes=0,mode=0700")
    }
}
