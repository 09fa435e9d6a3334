import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;

/**
 * The word count of Kafka Streams: lines, words, a repartition topic by word, counts in RocksDB with a changelog topic.
 *
 * <p>There is no output topic, which would only add to its work: the counts are those of the changelog.
 */
public final class KafkaStreamsWordCount {
    private KafkaStreamsWordCount() {}

    public static void main(String[] arguments) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(Run.text("TOPIC"), Consumed.with(Serdes.ByteArray(), Serdes.String()))
                .flatMapValues(line -> Arrays.asList(line.split(" ")))
                .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
                .count(Materialized.as("counts"));
        run(builder);
    }

    /** Runs a topology, whose store is "counts", until all lines and words are processed, and closes it. */
    static void run(StreamsBuilder builder) throws Exception {
        Properties settings = Run.settings();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, Run.text("ID"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, Run.text("SERVERS"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Run.text("STATE"));

        // A record is processed once as a line and once per word.
        long records = Run.number("LINES") + Run.number("WORDS");
        // Closing flushes the cache, waits until the changelog is acknowledged, and commits: the end does not
        // wait for the next commit interval.
        try (KafkaStreams streams = new KafkaStreams(builder.build(settings), settings)) {
            streams.setUncaughtExceptionHandler(
                    error -> {
                        error.printStackTrace();
                        Runtime.getRuntime().halt(1);
                        return null;
                    });
            streams.start();
            Run.await(() -> processed(streams) > 0);
            Run.mark("first");
            Run.await(() -> processed(streams) >= records);
        }
        Run.mark("durable");
        Run.rest();
    }

    /** Records that all threads have processed. */
    private static long processed(KafkaStreams streams) {
        return streams.metrics().values().stream()
                .filter(metric -> metric.metricName().name().equals("process-total"))
                .filter(metric -> metric.metricName().group().equals("stream-thread-metrics"))
                .mapToLong(metric -> ((Number) metric.metricValue()).longValue())
                .sum();
    }
}
