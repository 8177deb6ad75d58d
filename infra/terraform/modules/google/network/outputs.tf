output "network_id" {
  description = "The network."
  value       = google_compute_network.this.id
  depends_on  = [google_service_networking_connection.this, google_network_connectivity_service_connection_policy.cache]
}

output "network_name" {
  description = "Name of the network."
  value       = google_compute_network.this.name
}

output "subnet_id" {
  description = "Subnet of nodes."
  value       = google_compute_subnetwork.nodes.id
}
