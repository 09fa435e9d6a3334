import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * The word count of Kafka Streams per word and tumbling window of event time, in a window store on RocksDB with a changelog topic.
 *
 * <p>As in the count without windows there is no output topic; the counts are those of the changelog.
 */
public final class KafkaStreamsWindowedWordCount {
    private KafkaStreamsWindowedWordCount() {}

    public static void main(String[] arguments) throws Exception {
        TimeWindows windows =
                TimeWindows.ofSizeAndGrace(
                        Duration.ofSeconds(Run.number("WINDOW_S")), Duration.ofSeconds(Run.number("GRACE_S")));
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(Run.text("TOPIC"), Consumed.with(Serdes.ByteArray(), Serdes.String()))
                // The empty lines at the end of the topic have a time and no word.
                .flatMapValues(line -> line.isEmpty() ? List.<String>of() : Arrays.asList(line.split(" ")))
                .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
                .windowedBy(windows)
                .count(Materialized.as("counts"));
        KafkaStreamsWordCount.run(builder);
    }
}
