import Testing

@testable import LiveRoot

@Suite struct Overlays {
    @Test func theWritableLayerHasItsSizeAndNoLimitOfInodes() {
        #expect(OverlayRoot.layerOptions(size: "50%") == "size=50%,nr_inodes=0,mode=0700")
    }
}

@Suite struct RootImageStories {
    @Test("the line that says where the image is from, and that it is right, is one line of the console")
    func oneLine() {
        var image = RootImage(
            file: "/run/image", offset: 124, size: 94 << 20, format: .squashfs, verifiedBy: .streamHash,
            source: "http://192.0.2.10:80/rootfs.img")
        image.bytesFetched = 98_988_032
        #expect(image.story == "94.4 MiB from http://192.0.2.10:80/rootfs.img, sha256 right")
        // The console's topic and time take 20 of 80 columns.
        #expect(image.story.count <= 60)
    }
}
