// Centrifuge, the engine of Centrifugo, with everything allowed; the driver is src/drivers/centrifugo.rs.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"

	"github.com/centrifugal/centrifuge"
)

func main() {
	config := centrifuge.DefaultConfig
	config.ClientQueueMaxSize = 256 << 20
	node, err := centrifuge.New(config)
	if err != nil {
		panic(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			reply(centrifuge.SubscribeReply{}, nil)
		})
		client.OnPublish(func(_ centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
			reply(centrifuge.PublishReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		panic(err)
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin: func(*http.Request) bool { return true },
	}))
	// What the server around it, Centrifugo, has as its HTTP API: parse, publish, answer.
	http.HandleFunc("/publish", func(writer http.ResponseWriter, request *http.Request) {
		var call struct {
			Channel string          `json:"channel"`
			Data    json.RawMessage `json:"data"`
		}
		if err := json.NewDecoder(request.Body).Decode(&call); err != nil {
			http.Error(writer, err.Error(), http.StatusBadRequest)
			return
		}
		result, err := node.Publish(call.Channel, call.Data)
		if err != nil {
			http.Error(writer, err.Error(), http.StatusInternalServerError)
			return
		}
		writer.Header().Set("Content-Type", "application/json")
		json.NewEncoder(writer).Encode(map[string]any{"result": map[string]any{"offset": result.Offset}})
	})
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
